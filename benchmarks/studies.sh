#!/bin/sh
# All studies that the docs show, into RUNS. About four hours on two cores.
#
#     benchmarks/studies.sh FOLDER [RUNS]
#
# FOLDER has the data sets cifar10-jpeg, trec, clinc150, letter, satimage, spoken-digits and clothing,
# each in a subfolder that `datasets.load_dataset` loads. `python -m benchmarks.study_tables RUNS/digits
# ...` prints the tables, and `python -m benchmarks.baselines RUNS/trec ...` those of scikit-learn.
set -eu
folder=$1 runs=${2:-runs} layermix="${PYTHON:-.venv/bin/python} -m layermix"

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
    $layermix compare --data "$folder/cifar10-jpeg" --train-size 5000 --model $model --seeds 6 \
        --variants none input block2 final --out "$runs/cifar-$model"
done

other() {
    name=$1
    shift
    $layermix compare --data "$folder/$name" --out "$runs/$name" "$@"
}
other satimage
other letter --seeds 6
other trec --seeds 6
other clinc150 --seeds 6 --variants none embedding final
other spoken-digits --seeds 6 --variants none input block2 final
other clothing --seeds 3 --variants none input final
