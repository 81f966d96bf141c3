"""Build the image; on BASE_IMAGE in place of the official base when that is set. `make image` runs this."""

import os

from image.engine import IMAGE, ROOT, Engine

if __name__ == "__main__":
    Engine().build(ROOT, IMAGE, os.environ.get("BASE_IMAGE"))
    print(f"{IMAGE} is built.")
