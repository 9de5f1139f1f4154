#!/bin/sh
# All studies that the docs show, into RUNS. About two hours on two cores.
#
#     benchmarks/studies.sh CIFAR_FOLDER [RUNS]
#
# CIFAR_FOLDER has CIFAR-10 as parquet files. `python -m benchmarks.study_tables RUNS/digits ...` prints
# the tables.
set -eu
cifar=$1 runs=${2:-runs} layermix="${PYTHON:-.venv/bin/python} -m layermix"

digits() {
    name=$1
    shift
    $layermix compare --data digits --fixed-split --seeds 8 --out "$runs/$name" "$@"
}

$layermix compare --data digits --seeds 20 --out "$runs/digits"
digits methods --variants none mixup manifold-mixup cutmix fmix gridmix resizemix saliencymix \
    patchup patchup-hard noisy-feature-mixup alignmixup moex mixstyle dense-multimix regmixup
digits places --variants none mixstyle@block1 mixstyle@block3 moex@block1 moex@block3 \
    alignmixup@input alignmixup@block3 resizemix@block2 noisy-feature-mixup@final \
    regmixup@final:alpha=10 dense-multimix:low=0.05,high=0.1
digits many --variants none multimix@final:k=8 multimix@final:k=8,low=0.05,high=0.1
digits many-longer --epochs 40 \
    --variants none multimix@final:k=8 multimix@final:k=8,low=0.05,high=0.1
for model in resnet-small resnet-small-gn; do
    $layermix compare --data "$cifar" --train-size 5000 --model $model --seeds 6 \
        --variants none input block2 final --out "$runs/cifar-$model"
done
