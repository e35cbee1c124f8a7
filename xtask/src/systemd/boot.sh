# Boots a root file system with its own systemd. Runs in a mount namespace of its own, so that nothing of it is seen
# outside, and all of it is gone afterwards.
# $1: the root file system; $2: the network namespace; $3: where bpffs is mounted for it, empty for none; $4: its name.
set -e
mount --make-rprivate /
# systemd 257 wants the unified control groups also where the host still has the old ones.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -l /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
group=/sys/fs/cgroup/$4
mkdir "$group"
trap 'echo $$ >/sys/fs/cgroup/cgroup.procs; find "$group" -depth -type d -exec rmdir {} \;' EXIT
echo $$ >"$group/cgroup.procs"
# On a machine, systemd mounts it at the beginning; in a container it leaves that to who made the container.
bpffs=
if [ -n "$3" ]; then
    mkdir -p "$3"
    mount -t bpf -o mode=0700 bpf "$3"
    bpffs=--bind=$3:/sys/fs/bpf
fi
# Without --capability and --system-call-filter eBPF would be refused before the unit's own limits are asked.
systemd-nspawn --quiet --keep-unit --register=no --boot --directory="$1" --machine="$4" --link-journal=no \
    --resolv-conf=off --timezone=off --console=read-only --network-namespace-path="/run/netns/$2" \
    --capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN --system-call-filter='bpf perf_event_open' $bpffs &
nspawn=$!
# It powers the machine off.
trap 'kill -TERM $nspawn' TERM
wait $nspawn || wait $nspawn
