"""Pictures and films of QR codes, as a phone's camera gets them: turned, slanting, blurred, damaged."""

import io
import math
import random
from collections.abc import Sequence
from pathlib import Path

import segno
from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1280, 720
_DESK = 205  # grey of what the paper lies on
_PIXELS = 8  # a module of the symbol before it is placed

Point = tuple[float, float]


def symbol(text: str, version: int | None = None, level: str = "m", mask: int | None = None) -> Image.Image:
    """A QR code with its quiet zone, eight pixels a module."""
    code = segno.make_qr(text, version=version, error=level, mask=mask, boost_error=False)
    out = io.BytesIO()
    code.save(out, kind="png", scale=_PIXELS, border=4)
    return Image.open(out).convert("L")


def scene(
    paper: Image.Image,
    *,
    side: int = 520,
    angle: float = 0,
    slant: float = 0,
    blur: float = 0,
    noise: float = 0,
    shade: float = 1,
    negative: bool = False,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Image.Image:
    """A paper as it lies before the camera.

    Args:
        paper: what is on it.
        side: of the paper in the picture, in pixels, unless it would not fit.
        angle: by which it is turned, in degrees.
        slant: how much nearer one corner is than the middle, 0.2 for a fifth.
        blur: radius in pixels.
        noise: standard deviation in grey levels.
        shade: what the darkest corner keeps of its light.
        negative: light on dark.
        size: of the picture.
    """
    corners = _placed(side / 2, math.radians(angle), slant, size)
    # What is made smaller by far would show steps that no lens makes.
    softened = paper.filter(ImageFilter.GaussianBlur(max(paper.width / side / 3, 0.01)))
    edges: list[Point] = [(0, 0), (paper.width, 0), (paper.width, paper.height), (0, paper.height)]
    seen = softened.transform(
        size,
        Image.Transform.PERSPECTIVE,
        _perspective(corners, edges),
        Image.Resampling.BICUBIC,
        fillcolor=_DESK,
    )
    if negative:
        seen = ImageChops.invert(seen)
    if shade < 1:
        slope = Image.linear_gradient("L").resize(size)
        seen = Image.composite(seen, seen.point([int(value * shade) for value in range(256)]), slope)
    if blur:
        seen = seen.filter(ImageFilter.GaussianBlur(blur))
    if noise:
        seen = ImageChops.add(seen, Image.effect_noise(size, noise), 1, -128)
    return seen


def desk() -> Image.Image:
    """The desk with nothing on it."""
    return Image.new("L", (WIDTH, HEIGHT), _DESK)


def bulging(picture: Image.Image, pixels: float) -> Image.Image:
    """The picture as of a paper around a column: its sides are this much lower than its middle."""
    width, height = picture.size

    def fall(x: int) -> float:
        return pixels * (2 * x / width - 1) ** 2

    strips = []
    for left in range(0, width, 20):
        right = min(left + 20, width)
        corners = (left, fall(left), left, height + fall(left), right, height + fall(right))
        strips.append(((left, 0, right, height), (*corners, right, fall(right))))
    return picture.transform(
        picture.size, Image.Transform.MESH, strips, Image.Resampling.BICUBIC, fillcolor=_DESK
    )


def in_the_dark(picture: Image.Image, light: float, noise: float) -> Image.Image:
    """The picture with this share of its contrast, and the camera's noise in grey levels."""
    dim = picture.point([int(30 + value * light) for value in range(256)])
    return ImageChops.add(dim, Image.effect_noise(dim.size, noise), 1, -128)


def pressed(picture: Image.Image, quality: int) -> Image.Image:
    """The picture as a messenger sends it: JPEG of a poor quality."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("L")


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two papers on the desk."""
    picture = desk()
    for paper, x in ((left, 10), (right, WIDTH // 2 + 10)):
        picture.paste(paper.resize((WIDTH // 2 - 20, WIDTH // 2 - 20), Image.Resampling.BOX), (x, 50))
    return picture


def finders_only() -> Image.Image:
    """A carpet of finder patterns, as many as there is room for."""
    one = Image.new("L", (9, 9), 255)
    draw = ImageDraw.Draw(one)
    for inset, grey in ((1, 0), (2, 255), (3, 0)):
        draw.rectangle((inset, inset, 8 - inset, 8 - inset), fill=grey)
    carpet = Image.new("L", (WIDTH, HEIGHT), 255)
    for x in range(0, WIDTH, 9):
        for y in range(0, HEIGHT, 9):
            carpet.paste(one, (x, y))
    return carpet


def stained(paper: Image.Image, share: float, chance: random.Random) -> Image.Image:
    """The paper with drops on it, outside the three finder patterns, over a share of its area."""
    dirty = paper.copy()
    draw = ImageDraw.Draw(dirty)
    side = paper.width
    corner = 13 * _PIXELS
    covered = 0.0
    while covered < share * side * side:
        radius = chance.uniform(0.6, 2.5) * _PIXELS
        x, y = chance.uniform(0, side), chance.uniform(0, side)
        ends = (corner + radius, side - corner - radius)
        if (y < ends[0] and not ends[0] <= x <= ends[1]) or (y > ends[1] and x < ends[0]):
            continue
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=chance.choice((0, 90, 255)))
        covered += math.pi * radius * radius
    return dirty


def film(file: Path, pictures: Sequence[Image.Image]) -> Path:
    """A film of grey pictures for Chromium's fake camera, which plays it again and again (YUV4MPEG2)."""
    width, height = pictures[0].size
    with file.open("wb") as out:
        out.write(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode())
        colours = bytes([128]) * (width * height // 2)
        for picture in pictures:
            out.write(b"FRAME\n" + picture.tobytes() + colours)
    return file


def _placed(half: float, turn: float, slant: float, size: tuple[int, int]) -> list[Point]:
    corners = []
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        turned = (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn))
        depth = 1 + slant * (0.6 * turned[0] + 0.8 * turned[1])
        corners.append((half * turned[0] / depth, half * turned[1] / depth))
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    fits = min(1, (size[0] - 12) / (right - left), (size[1] - 12) / (bottom - top))
    middle = ((left + right) / 2, (top + bottom) / 2)
    return [((x - middle[0]) * fits + size[0] / 2, (y - middle[1]) * fits + size[1] / 2) for x, y in corners]


def _perspective(seen: Sequence[Point], paper: Sequence[Point]) -> list[float]:
    """Pillow's eight coefficients: from the picture to the paper."""
    rows = []
    for (x, y), (u, v) in zip(seen, paper, strict=True):
        rows.append([x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u])
        rows.append([0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v])
    for i in range(8):
        pivot = max(range(i, 8), key=lambda row: abs(rows[row][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for row in range(8):
            if row != i:
                factor = rows[row][i] / rows[i][i]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[i], strict=True)]
    return [rows[i][8] / rows[i][i] for i in range(8)]
