"""Files of reports, made for tests: PDFs written byte by byte, so that broken and hostile ones can be made as well."""

from __future__ import annotations

import zlib


def pdf(pages: list[str], about: str = "", kids: str = "", content: bytes | None = None) -> bytes:
    """A PDF with these pages, one line of text a line. ``kids`` replaces the page tree, ``content`` the first
    page's."""
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>",
    ]
    numbers = []
    for number, page in enumerate(pages):
        shown = b"BT /F1 9 Tf 40 800 Td 11 TL\n"
        for line in page.split("\n"):
            escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            shown += b"(" + escaped.encode("latin-1") + b") Tj T*\n"
        stream = zlib.compress(shown + b"ET") if content is None or number else content
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(stream) + stream + b"\nendstream"
        )
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        numbers.append(len(objects))
    tree = kids or " ".join(f"{number} 0 R" for number in numbers)
    objects[1] = f"<< /Type /Pages /Kids [{tree}] /Count {len(pages)} >>".encode()
    objects.append(f"<< {about} >>".encode())
    out, places = b"%PDF-1.5\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return out + table + end % (len(objects) + 1, len(objects), len(out))
