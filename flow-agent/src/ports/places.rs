//! PURE: the usual places of the files in which panels and servers name their ports.

use super::PortFileFormat;

/// Files and folders in which a format is usually found, the most informative first. If two of them name a port, the
/// first one decides its owner.
pub const PLACES: [(PortFileFormat, &str); 35] = [
    (PortFileFormat::Ssmgr, "/root/.ssmgr/db.sqlite"),
    (PortFileFormat::ThreeXUi, "/etc/x-ui/x-ui.db"),
    (PortFileFormat::ThreeXUi, "/etc/x-ui-yg/x-ui-yg.db"),
    (PortFileFormat::Mudb, "/usr/local/shadowsocksr/mudb.json"),
    (PortFileFormat::Mudb, "/usr/local/SSR-Bash-Python/mudb.json"),
    (PortFileFormat::Mudb, "/root/shadowsocksr/mudb.json"),
    (PortFileFormat::PortTrafficDog, "/etc/port-traffic-dog/config.json"),
    (PortFileFormat::Pterodactyl, "/var/lib/flow-agent-lists/docker.json"),
    // The hooks report changes as they happen, while the API is only asked from time to time, so they come first.
    (PortFileFormat::Frps, "/var/lib/flow-agent-lists/frps-hooks.json"),
    (PortFileFormat::Frps, "/var/lib/flow-agent-lists/frps"),
    (PortFileFormat::Shadowsocks, "/etc/shadowsocks-rust"),
    (PortFileFormat::Shadowsocks, "/etc/shadowsocks-libev/config.json"),
    (PortFileFormat::Shadowsocks, "/etc/shadowsocks/config.json"),
    (PortFileFormat::Shadowsocks, "/etc/shadowsocks.json"),
    (PortFileFormat::Xray, "/usr/local/etc/xray/config.json"),
    (PortFileFormat::Xray, "/usr/local/etc/xray/confs"),
    (PortFileFormat::Xray, "/etc/xray/config.json"),
    (PortFileFormat::Xray, "/usr/local/etc/v2ray/config.json"),
    (PortFileFormat::Xray, "/etc/v2ray/config.json"),
    (PortFileFormat::SingBox, "/etc/sing-box"),
    (PortFileFormat::SingBox, "/usr/local/etc/sing-box"),
    (PortFileFormat::Hysteria2, "/etc/hysteria/config.yaml"),
    (PortFileFormat::Realm, "/etc/realm/config.toml"),
    (PortFileFormat::Realm, "/etc/realm/config.json"),
    (PortFileFormat::Realm, "/root/.realm/config.toml"),
    (PortFileFormat::Gost, "/etc/gost/gost.yml"),
    (PortFileFormat::Gost, "/etc/gost/gost.json"),
    (PortFileFormat::Gost, "/etc/gost/config.yml"),
    (PortFileFormat::Frps, "/etc/frp/frps.toml"),
    (PortFileFormat::Frps, "/etc/frp/frps.ini"),
    (PortFileFormat::Nginx, "/etc/nginx/nginx.conf"),
    (PortFileFormat::Nginx, "/etc/nginx/stream.d"),
    (PortFileFormat::Nginx, "/etc/nginx/streams-enabled"),
    (PortFileFormat::Haproxy, "/etc/haproxy/haproxy.cfg"),
    (PortFileFormat::Wireguard, "/etc/wireguard"),
];
