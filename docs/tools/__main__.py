"""Draw the pictures of the docs that no study makes: those of the blends, and of performance.

python -m docs.tools
"""

import sys
from pathlib import Path

from docs.tools.blends import draw_blends
from docs.tools.performance import draw_performance

DOCS = Path(__file__).parent.parent

if __name__ == "__main__":
    for path in [*draw_blends(DOCS / "blends/pictures"), draw_performance()]:
        sys.stdout.write(f"{path}\n")
