"""What a board does when it gets power: mount what is in its flash, run boot.py, then main.py.

*.romfs are images as the ESP8266's flash holds them: what is in them runs in place and takes no heap. Here they have to
be read into it; whoever starts this gives the heap so much more.
"""

import os
import sys

import vfs

sys.path[0] = ""  # the flash, and not where this file stands
for _name in sorted(os.listdir()):
    if _name.endswith(".romfs"):
        with open(_name, "rb") as _file:
            _image = bytearray(_file.seek(0, 2))
            _file.seek(0)
            _file.readinto(_image)
        vfs.mount(vfs.VfsRom(_image), "/" + _name)
        sys.path.insert(0, "/" + _name)
for _name in ("boot.py", "main.py"):
    with open(_name) as _file:
        exec(compile(_file.read(), _name, "exec"), {"__name__": "__main__"})  # noqa: S102  # a board does no less
