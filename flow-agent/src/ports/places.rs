//! PURE: where panels and servers keep the files that name their ports, for whoever looks for them.

use super::PortFileFormat;

/// Files and folders in which a format is usually found, from the most to the least telling. Where two of them name a
/// port, the owner is that of the first.
pub const PLACES: [(PortFileFormat, &str); 35] = [
    (PortFileFormat::Ssmgr, "/root/.ssmgr/db.sqlite"),
    (PortFileFormat::ThreeXUi, "/etc/x-ui/x-ui.db"),
    (PortFileFormat::ThreeXUi, "/etc/x-ui-yg/x-ui-yg.db"),
    (PortFileFormat::Mudb, "/usr/local/shadowsocksr/mudb.json"),
    (PortFileFormat::Mudb, "/usr/local/SSR-Bash-Python/mudb.json"),
    (PortFileFormat::Mudb, "/root/shadowsocksr/mudb.json"),
    (PortFileFormat::PortTrafficDog, "/etc/port-traffic-dog/config.json"),
    (PortFileFormat::Pterodactyl, "/var/lib/flow-agent-lists/docker.json"),
    // Told as it happens, while the API is asked from time to time.
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
