// In place of loaders.gl, which deck.gl fetches data with: the page has all its data inside.
export const ImageLoader = {};
export function registerLoaders() {}
export function load() {
  throw new Error("the page loads nothing");
}
