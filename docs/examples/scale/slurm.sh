#!/bin/sh
# sbatch slurm.sh: sixteen processes of one GPU each; all see the folder of cluster.yaml.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --signal=TERM@120
#SBATCH --requeue
srun --kill-on-bad-exit=1 bert2bert pretrain cluster.yaml
