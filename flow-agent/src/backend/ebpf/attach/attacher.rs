//! EDGE kernel: attaches the programs in first place, with TCX links or with filters on a clsact qdisc.

use std::os::fd::AsFd;
use std::path::Path;

use aya::programs::SchedClassifier;

use super::filter::{self, Filters, QdiscList};
use super::link::TcxLink;
use crate::backend::ebpf::kernel;
use crate::backend::ebpf::pins::bpffs::{self, FoundLink, Pin, Pins};
use crate::backend::ebpf::pins::layout::{LinkName, MapSetName};
use crate::backend::netlink::{self, Direction};
use crate::backend::{BackendError, Cause};

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Tcx,
    Clsact,
}

/// The settings that all attachments of this agent share.
#[derive(Clone, Debug)]
pub struct Attacher {
    pub mechanism: Mechanism,
    pub netns: u64,
    pub instance: String,
    /// Where attachments are pinned. Without pins (`None`) they end with this process.
    pub pins: Option<Pins>,
    pub qdiscs: QdiscList,
}

/// A program that is attached to one direction of one device.
#[derive(Debug)]
pub struct Attachment {
    name: LinkName,
    /// The id of the program that should be attached.
    program: u32,
    hold: Hold,
}

/// What keeps a program attached.
#[derive(Debug)]
enum Hold {
    /// The link is held open by this process. Its pin keeps it attached after this process has ended.
    Link { link: TcxLink, pin: Option<Pin> },
    /// A filter stays attached by itself and cannot be pinned, so an empty directory represents it among the pins.
    Filter { pin: Option<Pin>, qdisc_is_ours: bool },
}

/// The state in which an attachment was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachmentStatus {
    /// The program is attached, belongs to this agent, and comes first.
    Attached,
    /// The attachment has changed or is gone. The text is the reason, worded for the person who reads the bill.
    Broken(String),
    /// The attachment is unchanged, but a program that somebody else attached may keep packets from it. Attaching it
    /// again would not help.
    Hidden(String),
}

impl Attacher {
    /// Access to the filters that this instance manages.
    pub fn filters(&self) -> Filters<'_> {
        Filters { instance: &self.instance, pins: self.pins.as_ref(), qdiscs: &self.qdiscs }
    }

    /// Attaches `program` before everything else that is attached, and removes what remains of earlier attachments.
    ///
    /// # Errors
    /// When the kernel refuses, or when a foreign qdisc or filter is in the way.
    pub fn attach(
        &self,
        program: &mut SchedClassifier,
        (index, interface): (u32, &str),
        direction: Direction,
        set: &MapSetName,
    ) -> Result<Attachment, BackendError> {
        // An earlier attachment may have left a pin, perhaps under a former name of the device.
        self.links_at(index, direction)?.iter().try_for_each(|left| remove_pin(&left.path))?;
        self.attach_anew(program, (index, interface), direction, set)
    }

    /// Like [`Attacher::attach`], but does not look for remains of earlier attachments. The caller knows that there are
    /// none.
    ///
    /// # Errors
    /// As [`Attacher::attach`].
    pub fn attach_anew(
        &self,
        program: &mut SchedClassifier,
        (index, interface): (u32, &str),
        direction: Direction,
        set: &MapSetName,
    ) -> Result<Attachment, BackendError> {
        let name = LinkName { netns: self.netns, index, direction, interface: interface.to_owned() };
        let hold = match self.mechanism {
            Mechanism::Tcx => {
                // If only its pins were lost, an old filter of ours is still there and would update counters that
                // nobody reads.
                if self.filters().has_own(&name)? {
                    filter::remove(&name)?;
                }
                let fd = program.fd().map_err(|source| name.failed(Box::new(source)))?.as_fd();
                let link = TcxLink::create(fd, index, direction).map_err(|source| name.failed(Box::new(source)))?;
                Hold::Link { link, pin: None }
            }
            Mechanism::Clsact => {
                let qdisc_is_ours = self.filters().attach(program, &name, set)?;
                Hold::Filter { pin: None, qdisc_is_ours }
            }
        };
        let program = program_id(program).map_err(|source| name.failed(source))?;
        let mut attachment = Attachment { name, program, hold };
        if let Some(pins) = &self.pins
            && let Err(error) = attachment.pin(pins)
        {
            self.detach(attachment)?;
            return Err(error);
        }
        Ok(attachment)
    }

    /// Takes over an attachment that a predecessor pinned, and atomically replaces its program with `program`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn adopt(
        &self,
        found: &FoundLink,
        program: &mut SchedClassifier,
        set: &MapSetName,
    ) -> Result<Attachment, BackendError> {
        let name = found.name.clone();
        let pin = Some(Pin::at(found.path.clone())?);
        let hold = if found.is_tcx {
            let link = TcxLink::open(&found.path).map_err(|source| name.failed(Box::new(source)))?;
            Hold::Link { link, pin }
        } else {
            let own = self.pins.as_ref().map_or(Ok(Vec::new()), Pins::own_qdiscs)?;
            Hold::Filter { pin, qdisc_is_ours: own.contains(&(self.netns, name.index)) }
        };
        let mut attachment = Attachment { name, program: 0, hold };
        self.update(&mut attachment, program, set)?;
        Ok(attachment)
    }

    /// The pinned attachments of this instance for one direction of a device.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn links_at(&self, index: u32, direction: Direction) -> Result<Vec<FoundLink>, BackendError> {
        let place = (self.netns, index, direction);
        let is_there = |name: &LinkName| (name.netns, name.index, name.direction) == place;
        self.pins.as_ref().map_or(Ok(Vec::new()), |pins| pins.links_where(is_there))
    }

    /// Whether a pinned attachment is still attached, by the mechanism that this agent uses. `link` is the id of its
    /// TCX link, `None` for a filter.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn is_live(&self, found: &FoundLink, link: Option<u32>) -> Result<bool, BackendError> {
        match (self.mechanism, link) {
            (Mechanism::Tcx, Some(_)) | (Mechanism::Clsact, None) => self.is_attached(found, link),
            (Mechanism::Tcx, None) | (Mechanism::Clsact, Some(_)) => Ok(false),
        }
    }

    /// Whether a pinned attachment is still attached, by whichever mechanism. `link` is as in [`Attacher::is_live`].
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn is_attached(&self, found: &FoundLink, link: Option<u32>) -> Result<bool, BackendError> {
        let LinkName { index, direction, .. } = found.name;
        let Some(link) = link else { return self.filters().has_own(&found.name) };
        let hook = kernel::query_tcx(index, direction).map_err(|source| found.name.failed(Box::new(source)))?;
        Ok(hook.unwrap_or_default().attached.iter().any(|(_, attached)| *attached == link))
    }

    /// Detaches what a predecessor attached, and removes its pin.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&self, found: &FoundLink) -> Result<(), BackendError> {
        if !found.is_tcx && found.name.netns == self.netns && self.filters().has_own(&found.name)? {
            filter::remove(&found.name)?;
        }
        remove_pin(&found.path)
    }

    /// Atomically replaces the attached program with `program`: each packet meets exactly one of them.
    ///
    /// # Errors
    /// When the kernel refuses. The former program then stays attached.
    pub fn update(
        &self,
        attachment: &mut Attachment,
        program: &mut SchedClassifier,
        set: &MapSetName,
    ) -> Result<(), BackendError> {
        // If the update fails, 0 matches no program, so the next inspection finds the attachment broken.
        attachment.program = 0;
        let name = &attachment.name;
        let updated = match &attachment.hold {
            Hold::Link { link, .. } => replace_program(link, program),
            Hold::Filter { .. } => self.filters().set(program, name, set, true),
        };
        attachment.program =
            updated.and_then(|()| program_id(program)).map_err(|source| attachment.name.failed(source))?;
        Ok(())
    }

    /// Checks whether the attachment is in place, belongs to this agent, and comes first.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn look(&self, attachment: &Attachment) -> Result<AttachmentStatus, BackendError> {
        let LinkName { index, direction, .. } = attachment.name;
        let place = match &attachment.hold {
            Hold::Link { link, .. } => {
                let hook = kernel::query_tcx(index, direction)
                    .map_err(|source| attachment.name.failed(Box::new(source)))?
                    .unwrap_or_default();
                let place = hook.attached.iter().position(|attached| *attached == (attachment.program, link.id));
                (place, hook.attached.first().map(|(program, _)| format!("program {program}")))
            }
            Hold::Filter { .. } => {
                let filters = self.filters().list(index, direction)?;
                let ours = |filter: &netlink::Filter| filter.is_at_our_place() && filter.program == attachment.program;
                let first = filters.first().map(|filter| format!("{} filter {}", filter.kind, filter.name));
                (filters.iter().position(ours), first)
            }
        };
        Ok(match place {
            (Some(0), _) => match attachment.hold {
                Hold::Filter { .. } => before_clsact(index, direction),
                Hold::Link { .. } => AttachmentStatus::Attached,
            },
            (Some(_), Some(first)) => {
                AttachmentStatus::Broken(format!("{first} came before the counter ({direction})"))
            }
            (Some(_) | None, _) => AttachmentStatus::Broken(format!("the counter was detached ({direction})")),
        })
    }

    /// Detaches the program. It is not an error if it is detached already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach(&self, attachment: Attachment) -> Result<(), BackendError> {
        let pin = match attachment.hold {
            Hold::Link { link, pin } => {
                link.detach().map_err(|source| attachment.name.failed(Box::new(source)))?;
                pin
            }
            Hold::Filter { pin, .. } => {
                filter::remove(&attachment.name)?;
                pin
            }
        };
        pin.filter(Pin::is_intact).map_or(Ok(()), |pin| bpffs::remove(&pin.path))
    }
}

impl Attachment {
    /// Whether its pin is still the one that this process made or found.
    pub fn is_pinned(&self) -> bool {
        let (Hold::Link { pin, .. } | Hold::Filter { pin, .. }) = &self.hold;
        pin.as_ref().is_some_and(Pin::is_intact)
    }

    /// Pins the attachment unless it is pinned already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pin(&mut self, pins: &Pins) -> Result<(), BackendError> {
        if self.is_pinned() {
            return Ok(());
        }
        let path = pins.link_path(&self.name);
        match &mut self.hold {
            Hold::Link { link, pin } => *pin = Some(Pin::make(link.fd(), path)?),
            Hold::Filter { pin, qdisc_is_ours } => {
                if *qdisc_is_ours {
                    bpffs::ensure_directory(&pins.clsact_path(self.name.netns, self.name.index))?;
                }
                bpffs::ensure_directory(&path)?;
                *pin = Some(Pin::at(path)?);
            }
        }
        Ok(())
    }

    /// Forgets the pin, because it cannot be reached any more.
    pub fn forget_pin(&mut self) {
        let (Hold::Link { pin, .. } | Hold::Filter { pin, .. }) = &mut self.hold;
        *pin = None;
    }
}

/// Whether packets reach a filter on clsact. Kernels with TCX run TCX programs before it, and nobody can tell what
/// those do with packets.
fn before_clsact(index: u32, direction: Direction) -> AttachmentStatus {
    // A kernel without TCX answers this query with an error, and has no such programs.
    let hook = kernel::query_tcx(index, direction).ok().flatten().unwrap_or_default();
    hook.attached.first().map_or(AttachmentStatus::Attached, |(program, _)| {
        AttachmentStatus::Hidden(format!("program {program} came before the counter ({direction})"))
    })
}

/// Removes the pin of an attachment, and detaches it first if it is a link. It is not an error if the pin is gone
/// already.
fn remove_pin(pin: &Path) -> Result<(), BackendError> {
    if !bpffs::exists(pin)? || pin.is_dir() {
        return bpffs::remove(pin);
    }
    let detached = TcxLink::open(pin).and_then(|link| link.detach());
    detached.map_err(|source| BackendError::Path { action: "detach", path: pin.to_owned(), source })?;
    bpffs::remove(pin)
}

fn replace_program(link: &TcxLink, program: &SchedClassifier) -> Result<(), Cause> {
    Ok(link.update(program.fd()?.as_fd())?)
}

fn program_id(program: &SchedClassifier) -> Result<u32, Cause> {
    Ok(program.info()?.id())
}
