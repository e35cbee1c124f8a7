#!/bin/sh
# Installs flow-agent from this directory, or uninstalls it. It works with any POSIX shell, including busybox.
set -eu
umask 022

usage() {
    cat <<'TEXT'
Usage: ./install.sh [--dry-run] [--yes] [--root DIR]
       ./install.sh --uninstall [--dry-run] [--yes] [--root DIR]

Copies the program, its units, manual pages and completions below /, after showing what it will do and asking for
confirmation. --uninstall stops flow-agent, removes it from the kernel, and removes exactly the files that were installed.
The configuration (/etc/flow-agent) and the logs (/var/lib/flow-agent) stay.

  --dry-run    show what would be done, and do nothing
  --yes        do not ask for confirmation
  --root DIR   install below DIR instead of /, without starting, stopping or reloading anything
TEXT
}

fail() {
    echo "install.sh: $1" >&2
    exit "${2:-1}"
}

action=install
dry_run=no
yes=no
root=
while [ $# -gt 0 ]; do
    case $1 in
        --uninstall) action=uninstall ;;
        --dry-run) dry_run=yes ;;
        --yes) yes=yes ;;
        --root)
            [ $# -gt 1 ] || fail "--root needs a directory" 2
            shift
            root=${1%/}
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done

here=$(cd "$(dirname "$0")" && pwd)
# For --uninstall, one per line: the paths of all installed files, and of the directories created for them, which end in /.
list=$root/usr/lib/flow-agent/installed-files

ask() {
    if [ "$dry_run" = yes ]; then
        echo "Nothing was done (--dry-run)."
        exit 0
    fi
    [ -w "${root:-/}" ] || fail "cannot write to ${root:-/}: run this as root"
    [ "$yes" = yes ] && return 0
    printf 'Continue? [y/N] '
    read -r answer || answer=
    case $answer in
        y | Y | yes) ;;
        *)
            echo "Nothing was done."
            exit 0
            ;;
    esac
}

has_systemd() {
    [ -z "$root" ] && [ -d /run/systemd/system ]
}

has_openrc() {
    [ -x "$root/sbin/openrc-run" ]
}

# Every file to be installed, as SOURCE<tab>TARGET.
files() {
    (cd "$here" && find etc usr -type f) | sort | while read -r file; do
        printf '%s\t%s\n' "$here/$file" "/$file"
    done
    if has_openrc; then
        printf '%s\t%s\n' "$here/openrc/flow-agent" /etc/init.d/flow-agent
    fi
}

# Creates a directory and its parents; prints those that did not exist.
make_directory() {
    [ ! -d "$root$1" ] || return 0
    make_directory "$(dirname "$1")"
    mkdir "$root$1"
    echo "$1/"
}

# The installed files, without the configuration.
installed_files() {
    sed -e '/^\/etc\/flow-agent\//d' -e '/\/$/d' "$list"
}

install_all() {
    [ -f "$here/usr/sbin/flow-agent" ] || fail "$here has no usr/sbin/flow-agent: run this from the unpacked tarball"
    for manager in dpkg-query rpm; do
        [ -z "$root" ] && command -v $manager >/dev/null 2>&1 || continue
        case $manager in
            dpkg-query) dpkg-query -W -f='${db:Status-Status}\n' flow-agent 2>/dev/null | grep -qx installed || continue ;;
            rpm) rpm -q flow-agent >/dev/null 2>&1 || continue ;;
        esac
        fail "flow-agent is installed as a package: upgrade or remove the package"
    done
    echo "These files will be installed:"
    files | while IFS="$(printf '\t')" read -r source target; do
        if [ "$target" = /etc/flow-agent/config.toml ] && [ -e "$root$target" ]; then
            echo "  $root$target (exists, and stays as it is)"
        else
            echo "  $root$target"
        fi
    done
    if has_systemd; then echo "Then: run systemctl daemon-reload, create the system user flow-agent-ship, and restart a running flow-agent, which keeps counting."; fi
    ask
    # What `init` finds takes the place of the default configuration, but never of the operator's.
    init=
    [ -e "$root/etc/flow-agent/config.toml" ] || init="flow-agent init --write, "
    directories=$(
        # In an upgrade, those that the previous installation created.
        [ ! -f "$list" ] || grep '/$' "$list" || true
        make_directory /usr/lib/flow-agent
    )
    echo "$directories" >"$list.new"
    files | while IFS="$(printf '\t')" read -r source target; do
        echo "$target" >>"$list.new"
        [ "$target" = /etc/flow-agent/config.toml ] && [ -e "$root$target" ] && continue
        make_directory "$(dirname "$target")" >>"$list.new"
        # A running program cannot be overwritten, but another file can take its name.
        cp "$source" "$root$target.new"
        mv "$root$target.new" "$root$target"
    done
    # What the previous version installed and this one no longer has.
    if [ -f "$list" ]; then
        installed_files | while read -r target; do
            grep -qxF "$target" "$list.new" || rm -f "$root$target"
        done
    fi
    mv "$list.new" "$list"
    if has_systemd; then
        systemctl daemon-reload
        systemd-sysusers flow-agent.conf || echo "warning: the user flow-agent-ship was not created" >&2
        systemd-tmpfiles --create flow-agent.conf || echo "warning: /run/xtables.lock was not created" >&2
        systemctl try-restart flow-agent.service flow-agent-ship.service flow-agent-frps-hooks.service ||
            echo "warning: not every unit was restarted, see systemctl status 'flow-agent*'" >&2
        echo "Installed. Next: ${init}systemctl enable --now flow-agent, flow-agent check"
    elif has_openrc; then
        [ -n "$root" ] || rc-service --ifstarted flow-agent restart || true
        echo "Installed. Next: ${init}rc-update add flow-agent, rc-service flow-agent start, flow-agent check"
    else
        echo "Installed. Next: ${init}flow-agent run, and flow-agent check in another terminal"
    fi
}

uninstall_all() {
    [ -f "$list" ] || fail "$list is missing: flow-agent was not installed by this script"
    echo "flow-agent will be stopped and removed from the kernel, and these files will be deleted:"
    installed_files | while read -r target; do echo "  $root$target"; done
    echo "These will stay: $root/etc/flow-agent, $root/var/lib/flow-agent"
    ask
    if has_systemd; then
        systemctl disable --now flow-agent.service flow-agent-report.timer flow-agent-notify.timer \
            flow-agent-gather.timer flow-agent-ship.service flow-agent-docker.timer flow-agent-frps.timer \
            flow-agent-frps-hooks.service
    elif [ -z "$root" ] && has_openrc; then
        rc-service flow-agent stop || true
        rc-update del flow-agent || true
    fi
    if [ -z "$root" ]; then
        /usr/sbin/flow-agent uninstall || echo "warning: something is left in the kernel, see above" >&2
    fi
    installed_files | while read -r target; do rm -f "$root$target"; done
    directories=$(grep '/$' "$list" | sort -r)
    rm -f "$list"
    # Only empty ones: the directory of the configuration stays with it.
    echo "$directories" | while read -r directory; do
        [ -z "$directory" ] || rmdir "$root$directory" 2>/dev/null || true
    done
    # Locks and sockets.
    [ -n "$root" ] || rm -rf /run/flow-agent
    if has_systemd; then systemctl daemon-reload; fi
    echo "Removed."
}

${action}_all
