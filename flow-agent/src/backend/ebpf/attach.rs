//! EDGE kernel: attaching the programs, first in order, by TCX links or by filters on clsact.

use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions, TcAttachType};
use aya::programs::{LinkOrder, SchedClassifier};

use super::filter::remove_filter;
use super::kernel;
use super::layout::{LinkName, SetName};
use super::pins::{self, FoundLink, Pins};
use crate::backend::netlink::{self, Direction};
use crate::backend::{BackendError, Cause};

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Tcx,
    Clsact,
}

/// What all attachments of this agent have in common.
#[derive(Clone, Debug)]
pub struct Attacher {
    pub mechanism: Mechanism,
    pub netns: u64,
    pub instance: String,
    /// Where attachments are pinned; `None`: they end with this process.
    pub pins: Option<Pins>,
}

/// A program that is attached to one direction of one device.
#[derive(Debug)]
pub struct Attachment {
    name: LinkName,
    /// Id of the program that should be there.
    program: u32,
    hold: Hold,
}

/// What keeps it there.
#[derive(Debug)]
enum Hold {
    /// A link, by its pin.
    Pin { link: u32, path: PathBuf },
    /// A link, by this process.
    Process { link: u32, held: Option<FdLink> },
    /// A filter, which stays by itself; and the directory that stands for it.
    Filter { path: Option<PathBuf> },
}

/// How an attachment is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is there, it is ours, and it is first.
    Well,
    /// It is not as it was; why, in words for the person who reads the bill.
    Unwell(String),
}

impl Attacher {
    /// Attaches `program` anew, before everything that is there.
    ///
    /// # Errors
    /// When the kernel refuses, or a foreign qdisc or filter is in the way.
    pub fn attach(
        &self,
        program: &mut SchedClassifier,
        (index, interface): (u32, &str),
        direction: Direction,
        set: &SetName,
    ) -> Result<Attachment, BackendError> {
        let name = LinkName { netns: self.netns, index, direction, interface: interface.to_owned() };
        let pin = self.pins.as_ref().map(|pins| pins.link_path(&name));
        // What is left of an attachment that ended, perhaps under another name of the device.
        self.links_at(index, direction)?.iter().try_for_each(|left| remove_pin(&left.path))?;
        let hold = match self.mechanism {
            Mechanism::Tcx => {
                // A filter of ours whose pins are lost would count for nobody.
                if self.own_filter(&name)? {
                    remove_filter(&name)?;
                }
                attach_link(program, &name, pin).map_err(|source| failed(&name, source))?
            }
            Mechanism::Clsact => {
                self.attach_filter(program, &name, set, pin.as_deref())?;
                Hold::Filter { path: pin }
            }
        };
        let program = program_id(program).map_err(|source| failed(&name, source))?;
        Ok(Attachment { name, program, hold })
    }

    /// Takes up what a predecessor attached, and lets `program` take the place of its program in one step.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn adopt(
        &self,
        found: &FoundLink,
        program: &mut SchedClassifier,
        set: &SetName,
    ) -> Result<Attachment, BackendError> {
        let name = found.name.clone();
        let hold = if found.is_tcx {
            let link = link_at(&found.path).map_err(|source| failed(&name, source))?;
            Hold::Pin { link, path: found.path.clone() }
        } else {
            Hold::Filter { path: Some(found.path.clone()) }
        };
        let mut attachment = Attachment { name, program: 0, hold };
        self.update(&mut attachment, program, set)?;
        Ok(attachment)
    }

    /// What is pinned of this instance for one direction of a device.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn links_at(&self, index: u32, direction: Direction) -> Result<Vec<FoundLink>, BackendError> {
        let mut links = self.pins.as_ref().map_or(Ok(Vec::new()), Pins::links)?;
        let place = (self.netns, index, direction);
        links.retain(|found| (found.name.netns, found.name.index, found.name.direction) == place);
        Ok(links)
    }

    /// Whether what was found attached still is, in the way in which this agent attaches; `link` is its id, if it is one.
    ///
    /// # Errors
    /// When it cannot be looked.
    pub fn is_live(&self, found: &FoundLink, link: Option<u32>) -> Result<bool, BackendError> {
        let LinkName { index, direction, .. } = found.name;
        match (self.mechanism, link) {
            (Mechanism::Tcx, Some(link)) => {
                let hook = kernel::query_tcx(index, direction)
                    .map_err(|source| failed(&found.name, Box::new(source)))?
                    .unwrap_or_default();
                Ok(hook.attached.iter().any(|(_, attached)| *attached == link))
            }
            (Mechanism::Clsact, None) => Ok(self.own_filter(&found.name)?),
            (Mechanism::Tcx, None) | (Mechanism::Clsact, Some(_)) => Ok(false),
        }
    }

    /// Detaches what a predecessor attached, and its pin.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&self, found: &FoundLink) -> Result<(), BackendError> {
        if !found.is_tcx && found.name.netns == self.netns && self.own_filter(&found.name)? {
            remove_filter(&found.name)?;
        }
        remove_pin(&found.path)
    }

    /// Lets `program` take the place of the attached one, in one step: each packet meets exactly one of them.
    ///
    /// # Errors
    /// When the kernel refuses; a pinned one goes on as it was.
    pub fn update(
        &self,
        attachment: &mut Attachment,
        program: &mut SchedClassifier,
        set: &SetName,
    ) -> Result<(), BackendError> {
        // Should it fail, the attachment is not as it should be, which the next look sees.
        attachment.program = 0;
        let name = &attachment.name;
        let updated = match &mut attachment.hold {
            // The link outlives what is opened here by its pin.
            Hold::Pin { path, .. } => open_link(path).and_then(|link| replace_program(link, program)).map(drop),
            Hold::Process { held, .. } => match held.take() {
                Some(link) => replace_program(link, program).map(|link| *held = Some(link)),
                None => Err("its link was lost".into()),
            },
            Hold::Filter { .. } => self.set_filter(program, name, set, true),
        };
        attachment.program =
            updated.and_then(|()| program_id(program)).map_err(|source| failed(&attachment.name, source))?;
        Ok(())
    }

    /// Looks whether the attachment is there, is ours, and is first.
    ///
    /// # Errors
    /// When it cannot be looked.
    pub fn look(&self, attachment: &Attachment) -> Result<Sight, BackendError> {
        let LinkName { index, direction, .. } = attachment.name;
        let netlink = |source| BackendError::Netlink { action: "list what is attached", source };
        let place = match &attachment.hold {
            Hold::Pin { link, .. } | Hold::Process { link, .. } => {
                let hook = kernel::query_tcx(index, direction)
                    .map_err(|source| failed(&attachment.name, Box::new(source)))?
                    .unwrap_or_default();
                let place = hook.attached.iter().position(|attached| *attached == (attachment.program, *link));
                (place, hook.attached.first().map(|(program, _)| format!("program {program}")))
            }
            Hold::Filter { .. } => {
                let filters = netlink::filters(index, direction).map_err(netlink)?;
                let ours = |filter: &netlink::Filter| filter.is_at_our_place() && filter.program == attachment.program;
                let first = filters.first().map(|filter| format!("{} filter {}", filter.kind, filter.name));
                (filters.iter().position(ours), first)
            }
        };
        Ok(match place {
            (Some(0), _) => Sight::Well,
            (Some(_), Some(first)) => Sight::Unwell(format!("{first} came before the counter ({direction})")),
            (Some(_) | None, _) => Sight::Unwell(format!("the counter was detached ({direction})")),
        })
    }

    /// Detaches. What is gone already is detached.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach(&self, attachment: Attachment) -> Result<(), BackendError> {
        match attachment.hold {
            Hold::Pin { path, .. } => remove_pin(&path),
            // Closing the link detaches it.
            Hold::Process { .. } => Ok(()),
            Hold::Filter { path } => {
                remove_filter(&attachment.name)?;
                path.map_or(Ok(()), |path| remove_pin(&path))
            }
        }
    }
}

/// The id of the link that is pinned there.
///
/// # Errors
/// When it cannot be opened, or is no link.
pub fn link_at(path: &Path) -> Result<u32, Cause> {
    Ok(open_link(path)?.info()?.id())
}

/// Removes the pin of an attachment; a link is detached first. What is gone already is removed.
fn remove_pin(pin: &Path) -> Result<(), BackendError> {
    if !pins::exists(pin)? || pin.is_dir() {
        return pins::remove(pin);
    }
    kernel::detach_link(pin).map_err(|source| BackendError::Path { action: "detach", path: pin.to_owned(), source })?;
    pins::remove(pin)
}

fn attach_link(program: &mut SchedClassifier, name: &LinkName, pin: Option<PathBuf>) -> Result<Hold, Cause> {
    let attach_type = match name.direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    };
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let attached = program.attach_with_options(&name.interface, attach_type, options)?;
    let held: FdLink = program.take_link(attached)?.try_into()?;
    let link = held.info()?.id();
    // It was attached by the device's name, which may have passed to another device since it was listed.
    let hook = kernel::query_tcx(name.index, name.direction)?.unwrap_or_default();
    if !hook.attached.iter().any(|(_, attached)| *attached == link) {
        return Err("the interface was renamed meanwhile".into());
    }
    match pin {
        Some(path) => {
            held.pin(&path)?;
            Ok(Hold::Pin { link, path })
        }
        None => Ok(Hold::Process { link, held: Some(held) }),
    }
}

fn open_link(path: &Path) -> Result<FdLink, Cause> {
    Ok(PinnedLink::from_pin(path)?.into())
}

/// Consumes the link: where it fails, one that nothing else holds is detached.
fn replace_program(link: FdLink, program: &mut SchedClassifier) -> Result<FdLink, Cause> {
    let attached = program.attach_to_link(SchedClassifierLink::try_from(link)?)?;
    Ok(program.take_link(attached)?.try_into()?)
}

fn program_id(program: &SchedClassifier) -> Result<u32, Cause> {
    Ok(program.info()?.id())
}

/// The error of an attachment.
pub(super) fn failed(name: &LinkName, source: Cause) -> BackendError {
    BackendError::Attach { interface: name.interface.clone(), direction: name.direction.name(), source }
}
