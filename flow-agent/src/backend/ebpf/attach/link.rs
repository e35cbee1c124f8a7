//! EDGE kernel: TCX links and their file descriptors.
//!
//! aya's links give up their descriptor when they are pinned, and have to be opened again by path. We keep the
//! descriptor open as long as the agent runs. So a link stays attached when somebody removes its pin or unmounts bpffs,
//! and can be pinned again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use crate::backend::ebpf::kernel::{bpf, tcx_attach_type};
use crate::backend::ebpf::pins;
use crate::backend::netlink::Direction;

// include/uapi/linux/bpf.h
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_LINK_GET_FD_BY_ID: libc::c_int = 30;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_F_BEFORE: u32 = 1 << 3;

/// An open TCX link. It stays attached while it is open or pinned.
#[derive(Debug)]
pub struct TcxLink {
    pub id: u32,
    fd: OwnedFd,
}

impl TcxLink {
    /// Attaches `program` to a device of this network namespace, before everything that is attached there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create(program: BorrowedFd<'_>, index: u32, direction: Direction) -> io::Result<Self> {
        /// The variant `link_create` of `union bpf_attr`, with its TCX fields.
        #[repr(C)]
        struct LinkCreate {
            prog_fd: u32,
            target_ifindex: u32,
            attach_type: u32,
            flags: u32,
            relative_fd: u32,
            padding: u32,
            expected_revision: u64,
        }
        let mut create = LinkCreate {
            prog_fd: number(program),
            target_ifindex: index,
            attach_type: tcx_attach_type(direction),
            // Without a program to be relative to, this means before all others.
            flags: BPF_F_BEFORE,
            relative_fd: 0,
            padding: 0,
            expected_revision: 0,
        };
        // SAFETY: this is the variant of `union bpf_attr` for the command.
        let fd = unsafe { bpf(BPF_LINK_CREATE, &mut create) }?;
        Self::from_new(fd)
    }

    /// Opens a pinned link.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(pin: &Path) -> io::Result<Self> {
        Self::of(pins::object::open(pin)?)
    }

    /// Opens the link with this id.
    ///
    /// # Errors
    /// When there is none, or when the kernel refuses. It requires CAP_SYS_ADMIN.
    pub fn by_id(id: u32) -> io::Result<Self> {
        /// The variant of `union bpf_attr` that opens objects by their ids.
        #[repr(C)]
        struct ById {
            id: u32,
            next_id: u32,
            open_flags: u32,
        }
        let mut request = ById { id, next_id: 0, open_flags: 0 };
        // SAFETY: this is the variant of `union bpf_attr` for the command.
        let fd = unsafe { bpf(BPF_LINK_GET_FD_BY_ID, &mut request) }?;
        Self::from_new(fd)
    }

    fn from_new(fd: i32) -> io::Result<Self> {
        // SAFETY: the kernel has just made this descriptor for us, and nothing else owns it.
        Self::of(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn of(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { id: link_id(fd.as_fd())?, fd })
    }

    /// Atomically replaces the link's program: each packet meets exactly one of the two.
    ///
    /// # Errors
    /// When the kernel refuses. The former program then stays attached.
    pub fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        /// The variant `link_update` of `union bpf_attr`.
        #[repr(C)]
        struct LinkUpdate {
            link_fd: u32,
            new_prog_fd: u32,
            flags: u32,
            old_prog_fd: u32,
        }
        let mut update =
            LinkUpdate { link_fd: number(self.fd()), new_prog_fd: number(program), flags: 0, old_prog_fd: 0 };
        // SAFETY: this is the variant of `union bpf_attr` for the command.
        unsafe { bpf(BPF_LINK_UPDATE, &mut update) }.map(drop)
    }

    /// Detaches the link and returns only when no more packets run its program. Closing the link or removing its pin
    /// would detach it too, but some time later, when a new attachment may already be counting. It is not an error if
    /// the link is detached already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach(&self) -> io::Result<()> {
        let mut link = number(self.fd());
        // SAFETY: this is the variant of `union bpf_attr` for the command.
        match unsafe { bpf(BPF_LINK_DETACH, &mut link) } {
            Err(error) if error.raw_os_error() != Some(libc::ENOLINK) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn link_id(link: BorrowedFd<'_>) -> io::Result<u32> {
    /// The first fields of `struct bpf_link_info`.
    #[repr(C)]
    #[derive(Default)]
    struct LinkInfo {
        link_type: u32,
        id: u32,
        prog_id: u32,
        padding: u32,
    }
    /// The variant `info` of `union bpf_attr`.
    #[repr(C)]
    struct InfoRequest {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut info = LinkInfo::default();
    let mut request = InfoRequest {
        bpf_fd: number(link),
        info_len: u32::try_from(size_of::<LinkInfo>()).expect("16 bytes"),
        info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
    };
    // SAFETY: this is the variant of `union bpf_attr` for the command; `info` outlives the call and has the stated
    // length.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut request) }?;
    Ok(info.id)
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}
