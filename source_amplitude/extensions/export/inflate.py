"""zlib or, where the extra `fast` is installed, isal: the same output, faster."""

import zlib
from typing import Any

fastest: Any = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    fastest = isal_zlib
crc32 = fastest.crc32
decompressobj = fastest.decompressobj
InflateError: Any = fastest.error
