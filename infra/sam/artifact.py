"""Looks at what `sam build` made: one and the same binary for every function, for the right machine, and small enough.

Called as: artifact.py BUILD_DIRECTORY ARCHITECTURE LIMIT_IN_BYTES
"""

import hashlib
import io
import pathlib
import sys
import zipfile

# The field e_machine of an ELF header.
MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}


def main() -> None:
    directory, architecture, limit = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    binaries = sorted(directory.glob("*/bootstrap"))
    contents = {hashlib.sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in binaries}
    if len(contents) != 1:
        sys.exit(f"error: {len(binaries)} functions have {len(contents)} different binaries")
    (binary,) = contents.values()
    machine = int.from_bytes(binary[18:20], "little")
    if binary[:4] != b"\x7fELF" or machine != MACHINES[architecture]:
        sys.exit(f"error: the binary is for machine {machine:#x}, not for {architecture}")
    if b"aws-lc" in binary or b"AWS_LC" in binary:
        sys.exit("error: the binary has aws-lc in it")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        zipped.writestr("bootstrap", binary)
    size = len(archive.getvalue())
    print(f"{architecture}: {len(binaries)} functions, one binary of {len(binary):,} bytes, {size:,} zipped")
    if size > limit:
        sys.exit(f"error: that is more than {limit:,}")


main()
