"""Image files, whole and cut short."""

from PIL import Image


def save(pixels, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, **options)


def cut(path, share=0.55):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
