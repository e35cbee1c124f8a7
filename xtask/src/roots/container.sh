# Makes a root file system ready, in mount, process and network namespaces that are there already, and holds them open.
# $1: the root file system.
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t bpf -o mode=0700 bpf sys/fs/bpf
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
# It repeats what it is told, which says that all is ready. When whoever talks to it is gone, it ends, and all with it.
exec chroot . cat
