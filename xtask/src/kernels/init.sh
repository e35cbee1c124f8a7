#!/bin/sh
# The first and only process of a guest: sets up the system that the kernel tests expect, runs them, and prints how they
# ended.
export PATH=/usr/sbin:/usr/bin HOME=/root FLOW_AGENT_TEST_REQUIRE=1
# Tells the tests that they may unload modules and make irreversible settings.
export FLOW_AGENT_TEST_OWN_MACHINE=1
# Starting a program takes a second here.
export FLOW_AGENT_TEST_EMULATED=1

mount -t devtmpfs dev /dev
# Devices that udev would add; nft reads its standard input by this name.
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%%:*}" "/dev/${number#*:}"; done
exec </dev/null >/dev/console 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
# Nothing is mounted on /tmp, because the agent is at the path where it was built, which may be below it.
chmod 1777 /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t securityfs security /sys/kernel/security
mount -t tracefs trace /sys/kernel/tracing
ip link set lo up
# The device node is created when the module is loaded, and nobody else here loads it.
modprobe tun

echo "fact: kernel=$(uname -r)"
status=0
run() {
    # An empty list of names would run all tests.
    [ -s "$1" ] || return 0
    # Test names contain no blanks.
    # shellcheck disable=SC2046
    /tests/kernel --test-threads=1 --show-output --exact $(cat "$1") || status=$?
}
run /tests/names
# Settings of hardened hosts. Neither can be undone.
echo 1 >/proc/sys/kernel/unprivileged_bpf_disabled
echo confidentiality >/sys/kernel/security/lockdown
export FLOW_AGENT_TEST_GUARDED=1
echo "guest part: guarded:"
run /tests/guarded
echo "guest verdict: exit=$status"
# Prints the kernel's complaints for the reader.
dmesg --level emerg,alert,crit,err,warn
echo o >/proc/sysrq-trigger
sleep 60
