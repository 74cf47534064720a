// What the page of cellflow explore uses of deck.gl; the bundle is the global `deck`.
export { Deck, OrthographicView } from "@deck.gl/core";
export { PathLayer, ScatterplotLayer } from "@deck.gl/layers";
