#!/usr/bin/env bash
# Measure everything on a machine with a GPU, in 15 minutes in all, the most valuable first.
#
#   benchmarks/gpu.sh DATA OUT [STEP...]      DATA: a folder of parquet files, as of CIFAR-10
#
# Steps: unpack, compiled (gradients of compiled models), tests, launches, step, mix, snnl, loop (its
# operations), train (against common loops), studies (the speed net, mixed nowhere, at the input, at
# each block and at the final layer, as many seeds as fit), report; all of them when none is named.
# Each step has a limit of its own, and all together end within MINUTES (14). A step that is finished
# is not repeated, unless it is named, and the studies go on where they were stopped; so the same
# command continues. One step that fails stops none of those behind it.
#
# OUT gets few and small files, to be kept: tables.json (of all benchmarks, with their conditions),
# tests.txt, runs.csv, study.tar.gz (records without weights) and report.html. All else is in WORK
# (build/gpu). No network, no installation: torch, and what torch's users have beside it (numpy, scipy,
# scikit-learn, joblib, rich, matplotlib, jinja2, safetensors, torchmetrics, pyarrow, Pillow;
# torchvision and timm for the peers; pytest and hypothesis for the tests).
#
# REPEATS of the benchmarks (5), SEEDS of the study (20) and WORKERS (auto) may be set.
# SMALL=1 DEVICE=cpu proves on any machine that it works, at sizes that measure nothing.
set -uo pipefail

data=${1:?a folder of parquet files} out=${2:?a folder for the tables}
shift 2
named=("$@")
steps=(unpack compiled tests launches step mix snnl loop train studies report)
[ ${#named[@]} -eq 0 ] || steps=("${named[@]}")

mkdir -p "$out" "${WORK:=build/gpu}/done" "$WORK/tables"
out=$(cd "$out" && pwd) work=$(cd "$WORK" && pwd)
cd "$(dirname "$0")/.." || exit
python=${PYTHON:-python3}
export PYTHONPATH=src:.${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
flags=(--device "${DEVICE:-cuda}" --repeats "${REPEATS:-5}" --seeds "${SEEDS:-20}"
    --workers "${WORKERS:-auto}")
[ -z "${SMALL:-}" ] || flags+=(--small)
images=$work/images.safetensors
end=$((SECONDS + 60 * ${MINUTES:-14}))

# limited SECONDS ARGUMENT...: run Python for this time at most, and leave 30 seconds for the report
limited() {
    local left=$((end - SECONDS - 30)) limit=$1
    shift
    [ "$left" -gt 5 ] || return 124
    timeout --signal=INT --kill-after=10 $((limit < left ? limit : left)) "$python" "$@"
}
bench() { limited "$1" -m benchmarks.gpu_steps bench "$2" "$work/tables" "${flags[@]}" "${@:3}"; }

failed=()
for step in "${steps[@]}"; do
    [ ${#named[@]} -gt 0 ] || [ ! -e "$work/done/$step" ] || continue
    echo "== $step"
    started=$SECONDS
    case $step in
        unpack) limited 90 -m benchmarks.unpack "$data" "$images" ;;
        compiled) bench 150 compiled ;;
        tests)
            limited 150 -m pytest -q -m gpu tests/gpu -p no:cacheprovider -o filterwarnings=default \
                2>&1 | tee "$out/tests.txt" ;;
        launches | loop) bench 60 "$step" ;;
        step | mix | snnl) bench 75 "$step" ;;
        train) bench 120 train --data "$images" ;;
        studies) limited 900 -m benchmarks.gpu_steps study "$work/study" --data "$images" "${flags[@]}" ;;
        report) "$python" -m benchmarks.gpu_steps report "$work" "$out" ;;
        *) echo "unknown step" >&2; false ;;
    esac
    code=$?
    echo "== $step: $((SECONDS - started)) s"
    case $code in
        0) [ "$step" = report ] || touch "$work/done/$step" ;;
        124 | 130 | 137) failed+=("$step (stopped by its limit)") ;;
        *) failed+=("$step (exit $code)") ;;
    esac
done
[ ${#failed[@]} -eq 0 ] || { printf 'not finished: %s\n' "${failed[@]}" >&2; exit 1; }
