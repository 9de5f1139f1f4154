"""Draw the figures of the docs that do not come from a study: rings, blends and performance.

python -m docs.tools
"""

import sys
from pathlib import Path

from docs.tools.blends import draw_blends
from docs.tools.performance import draw_performance
from docs.tools.plane import draw_plane

DOCS = Path(__file__).parent.parent

if __name__ == "__main__":
    blends = draw_blends(DOCS / "blends/pictures")
    for path in [*draw_plane(DOCS / "pictures"), *blends, draw_performance()]:
        sys.stdout.write(f"{path}\n")
