#!/bin/sh
# The first and only process of a guest: makes the system that the kernel tests expect, runs them, and says how they ended.
export PATH=/usr/sbin:/usr/bin HOME=/root FLOW_AGENT_TEST_REQUIRE=1
# The tests may take modules away, and set what never goes back.
export FLOW_AGENT_TEST_OWN_MACHINE=1
# A program takes a second to start.
export FLOW_AGENT_TEST_EMULATED=1

mount -t devtmpfs dev /dev
exec </dev/null >/dev/console 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
# Nothing is mounted there: the agent lies where it was built, which may be below it.
chmod 1777 /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t securityfs security /sys/kernel/security
mount -t tracefs trace /sys/kernel/tracing
ip link set lo up
# Its device is made with the module; nobody else is here to do so.
modprobe tun

echo "fact: kernel=$(uname -r)"
status=0
run() {
    # Without a name it would run them all.
    [ -s "$1" ] || return 0
    # No name has blanks in it.
    # shellcheck disable=SC2046
    /tests/kernel --test-threads=1 --show-output --exact $(cat "$1") || status=$?
}
run /tests/names
# What hardened hosts set. Neither goes back.
echo 1 >/proc/sys/kernel/unprivileged_bpf_disabled
echo confidentiality >/sys/kernel/security/lockdown
export FLOW_AGENT_TEST_GUARDED=1
echo "guest part: guarded:"
run /tests/guarded
echo "guest verdict: exit=$status"
# Whatever the kernel complained of, for the reader.
dmesg --level emerg,alert,crit,err,warn
echo o >/proc/sysrq-trigger
sleep 60
