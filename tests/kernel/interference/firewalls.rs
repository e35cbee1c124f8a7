//! The real firewalls of Debian, in the network namespace of a case and with mounts of their own.

use super::kind::Kind;
use super::scene::{Scene, script};
use super::{Interference, row};

fn ufw_is_here(kind: Kind) -> bool {
    // It uses the program that is called `iptables` on the host.
    kind.is_with_nft() && crate::common::have_program("ufw", "the catalogue of interference")
}

fn firewalld_is_here(kind: Kind) -> bool {
    kind.is_with_nft() && crate::common::have_program("firewalld", "the catalogue of interference")
}

/// While it reloads, it drops packets in the raw table, before rules can count them. If the counters are in a table of
/// nftables, which it leaves alone, that time is not marked, and the observer at the peer sees those packets.
fn firewalld_with_iptables_is_here(kind: Kind) -> bool {
    kind != Kind::Native && firewalld_is_here(kind)
}

pub fn catalogue() -> Vec<Interference> {
    vec![
        row("ufw enable, reload, disable", ufw_is_here, ufw).harmless(Kind::is_apart_from_iptables),
        row("firewall-cmd --reload, --complete-reload", firewalld_is_here, |scene| firewalld(scene, "nftables"))
            .harmless(Kind::is_apart_from_iptables),
        row("firewall-cmd, with iptables", firewalld_with_iptables_is_here, |scene| firewalld(scene, "iptables"))
            .harmless(Kind::is_apart_from_iptables),
    ]
}

/// Its files are copies in memory.
fn ufw(scene: &mut Scene) {
    script(
        scene,
        "for directory in /etc/ufw /etc/default /var/lib/ufw /run; do
             mkdir -p $directory
             cp -a $directory /tmp/copy.$$ 2>/dev/null || true
             mount -t tmpfs none $directory
             cp -a /tmp/copy.$$/. $directory/ 2>/dev/null || true
             rm -rf /tmp/copy.$$
         done
         ufw allow proto udp to any port 443,8388
         ufw --force enable
         ufw reload
         ufw --force disable",
    );
}

/// Runs with a message bus of its own.
fn firewalld(scene: &mut Scene, backend: &str) {
    script(
        scene,
        &format!(
            "mount -t tmpfs none /run
             cp -a /etc/firewalld /run/etc
             mount --bind /run/etc /etc/firewalld
             sed -i 's/^FirewallBackend=.*/FirewallBackend={backend}/' /etc/firewalld/firewalld.conf
             cat > /run/bus.conf <<'CONF'
<busconfig><type>system</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_type=\"method_call\"/>
<allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>
CONF
             dbus-daemon --config-file=/run/bus.conf --nofork & bus=$!
             trap 'kill $daemon $bus 2>/dev/null' EXIT
             export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
             for _ in $(seq 300); do [ -S /run/bus ] && break; sleep 0.1; done
             firewalld --nofork --nopid & daemon=$!
             for _ in $(seq 600); do firewall-cmd --state >/dev/null 2>&1 && break; sleep 0.1; done
             firewall-cmd --add-port=443/udp --add-port=8388/udp --permanent
             firewall-cmd --reload
             firewall-cmd --complete-reload
             kill $daemon
             wait $daemon || true"
        ),
    );
}
