#!/usr/bin/env bash
# Measure everything on a machine with a GPU: benchmarks, the speed recipe, the reference study.
#
#   benchmarks/gpu.sh DATA OUT [STEP...]      DATA: a folder of parquet files, as of CIFAR-10
#
# Steps: tests mix step snnl train speed reference report; all of them when none is named. Each ends
# within 9 minutes; the studies go on where they were stopped when they are named again, and `report`
# tells what is finished. Tables and reports are left in OUT. No network, no installation: torch, and
# what torch's users have beside it (numpy, scipy, scikit-learn, joblib, rich, matplotlib, jinja2,
# safetensors, torchmetrics, pyarrow, Pillow; torchvision and timm for the peers).
#
# SMALL=1 DEVICE=cpu proves on any machine that it works, at sizes that measure nothing.
set -euo pipefail

data=${1:?a folder of parquet files} out=${2:?a folder for the tables}
shift 2
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(tests mix step snnl train speed reference report)

cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
limit=${LIMIT:-530}
export PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
flags=(--device "$device")
[ -z "${SMALL:-}" ] || flags+=(--small)

mkdir -p "$out"
images=$out/images.safetensors
[ -e "$images" ] || "$python" benchmarks/unpack.py "$data" "$images"

run() { timeout --signal=INT --kill-after=20 "$limit" "$python" benchmarks/gpu.py "$@"; }

for step in "${steps[@]}"; do
    echo "== $step"
    case $step in
        tests)
            timeout "$limit" "$python" -m pytest -q -m gpu tests/gpu -p no:cacheprovider -o filterwarnings=default \
                2>&1 | tee "$out/tests.txt" ;;
        mix | step | snnl) run bench "$step" "$out" "${flags[@]}" ;;
        train) run bench train "$out" "${flags[@]}" --data "$images" ;;
        speed | reference)
            run study "$step" "$out/$step" "${flags[@]}" --data "$images" ||
                echo "stopped: name $step again to go on" ;;
        report)
            for study in speed reference; do
                [ ! -e "$out/$study/study.json" ] || run report "$out/$study"
            done ;;
        *) echo "unknown step $step" >&2; exit 2 ;;
    esac
done
