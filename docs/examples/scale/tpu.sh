#!/bin/sh
# tpu.sh NAME ZONE: the run on all hosts of a slice, which share the folder /shared.
gcloud compute tpus tpu-vm ssh "$1" --zone "$2" --worker=all \
  --command="cd /shared && bert2bert pretrain tpu.yaml"
