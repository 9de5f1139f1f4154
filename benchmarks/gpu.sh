#!/usr/bin/env bash
# Measure everything on a machine with a GPU: benchmarks, the speed recipe, the reference study.
#
#   benchmarks/gpu.sh DATA OUT [STEP...]      DATA: a folder of parquet files, as of CIFAR-10
#
# Steps: unpack tests mix step snnl train speed reference report; all of them when none is named. Each
# ends within 9 minutes (LIMIT seconds), and one that fails stops none of those behind it. The studies
# go on where they were stopped when they are named again, and `report` tells what is finished; the
# reference study takes several times 9 minutes. Tables and reports are left in OUT. No network, no
# installation: torch, and what torch's users have beside it (numpy, scipy, scikit-learn, joblib, rich,
# matplotlib, jinja2, safetensors, torchmetrics, pyarrow, Pillow; torchvision and timm for the peers;
# pytest and hypothesis for the tests).
#
# REPEATS of the benchmarks (9), SEEDS and WORKERS of the studies (4 and 1) may be set.
# SMALL=1 DEVICE=cpu proves on any machine that it works, at sizes that measure nothing.
set -uo pipefail

data=${1:?a folder of parquet files} out=${2:?a folder for the tables}
shift 2
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(unpack tests mix step snnl train speed reference report)

cd "$(dirname "$0")/.." || exit
python=${PYTHON:-python3}
export PYTHONPATH=src:.${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
flags=(--device "${DEVICE:-cuda}" --repeats "${REPEATS:-9}" --seeds "${SEEDS:-4}" --workers "${WORKERS:-1}")
[ -z "${SMALL:-}" ] || flags+=(--small)
images=$out/images.safetensors
mkdir -p "$out"

limited() { timeout --signal=INT --kill-after=10 "${LIMIT:-500}" "$python" "$@"; }
run() { limited -m benchmarks.gpu_steps "$@" "${flags[@]}"; }
reports() {
    local failed=0 study
    for study in speed reference; do
        [ ! -e "$out/$study/study.json" ] || LIMIT=240 run report "$out/$study" || failed=$?
    done
    return $failed
}

failed=()
for step in "${steps[@]}"; do
    echo "== $step"
    case $step in
        unpack) [ -e "$images" ] || limited -m benchmarks.unpack "$data" "$images" ;;
        tests)
            limited -m pytest -q -m gpu tests/gpu -p no:cacheprovider -o filterwarnings=default \
                2>&1 | tee "$out/tests.txt" ;;
        mix | step | snnl) run bench "$step" "$out" ;;
        train) run bench train "$out" --data "$images" ;;
        speed | reference) run study "$step" "$out/$step" --data "$images" ;;
        report) reports ;;
        *) echo "unknown step" >&2; false ;;
    esac
    code=$?
    case $code in
        0) ;;
        124 | 130 | 137) failed+=("$step (stopped by its limit)") ;;
        *) failed+=("$step (exit $code)") ;;
    esac
done
[ ${#failed[@]} -eq 0 ] || { printf 'not finished: %s\n' "${failed[@]}" >&2; exit 1; }
