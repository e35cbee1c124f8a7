# Boots a root file system with its own systemd. Runs in a separate mount namespace, so that its mounts are not visible
# outside and disappear afterwards.
# $1: the root file system; $2: the network namespace; $3: where its bpffs is mounted, or empty for none; $4: its name.
set -e
mount --make-rprivate /
# systemd 257 needs unified control groups, even if the host still has the old ones.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -l /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
group=/sys/fs/cgroup/$4
mkdir "$group"
trap 'echo $$ >/sys/fs/cgroup/cgroup.procs; find "$group" -depth -type d -exec rmdir {} \;' EXIT
echo $$ >"$group/cgroup.procs"
# On a real machine systemd mounts bpffs at boot. In a container it leaves that to the container's creator.
bpffs=
if [ -n "$3" ]; then
    mkdir -p "$3"
    mount -t bpf -o mode=0700 bpf "$3"
    bpffs=--bind=$3:/sys/fs/bpf
fi
# Without --capability and --system-call-filter nspawn would refuse eBPF, whatever the unit's own limits allow.
systemd-nspawn --quiet --keep-unit --register=no --boot --directory="$1" --machine="$4" --link-journal=no \
    --resolv-conf=off --timezone=off --console=read-only --network-namespace-path="/run/netns/$2" \
    --capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN --system-call-filter='bpf perf_event_open' $bpffs &
nspawn=$!
# This makes nspawn power the machine off.
trap 'kill -TERM $nspawn' TERM
wait $nspawn || wait $nspawn
