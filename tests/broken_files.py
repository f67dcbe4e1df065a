"""Files that are no photos, or no longer: cut, bent, huge, of other kinds."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

KINDS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n/showpage\nshowpage\n"


def picture(kind: str = "PNG", side: int = 24) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind)
    return stream.getvalue()


def huge(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few bytes that claim to be 3600 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def wrong() -> dict[str, bytes]:
    """Files that are whole, and no photos."""
    return {
        "empty.png": b"",
        "text.jpg": b"I am a photo",
        "page.png": b"<html><script>alert(1)</script></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        "print.png": POSTSCRIPT,
        "print.eps": POSTSCRIPT,
        "paper.pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF",
        "archive.png": b"PK\x03\x04" + bytes(60),
        "program.jpg": b"\x7fELF" + bytes(200),
        "weights.png": b"\x80\x04\x95" + bytes(40) + b".",
        "huge.png": huge(),
        "wide.png": huge(2**31 - 1, 1),
        "nothing.png": huge(0, 0),
    }


def broken(n: int) -> Iterator[tuple[str, bytes]]:
    """Give n files: those that are wrong, and pictures that were cut or bent."""
    draw = random.Random(0)
    yield from wrong().items()
    whole = {kind: picture(kind) for kind in KINDS}
    for number in range(n - len(wrong())):
        kind = draw.choice(KINDS)
        content = bytearray(whole[kind])
        if draw.random() < 0.4:
            content = content[: draw.randrange(len(content))]
        for _ in range(draw.choice((0, 1, 3, 30))):
            if content:
                # Headers are where it hurts.
                at = draw.randrange(min(len(content), draw.choice((40, 200, 10_000))))
                content[at] = draw.randrange(256)
        yield f"{kind}-{number}.png", bytes(content)
