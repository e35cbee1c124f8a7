//! A disk for tests that fails or dies at any operation, and knows what would be left after a power cut.
//!
//! What was written is in a real directory, so that readers can read it as usual. What was synced is kept beside it;
//! [`CrashDisk::cut_power`] turns the real directory into what would be found afterwards.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::store::disk::{Disk, Handle, RealDisk, parent};

/// What happens at the planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the operation, or after half the bytes of an append. No later operation does anything.
    Die,
    /// The operation fails with EIO once, after half the bytes of an append. A sync that fails drops the bytes that
    /// were to be synced, and lets a later sync of that file succeed without them, as kernels do.
    Io,
    /// The operation fails with ENOSPC, and so does every later one that needs space, until [`CrashDisk::heal`].
    Full,
}

/// What a power cut leaves of unsynced data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCut {
    /// Nothing, neither bytes nor names.
    KeepsSynced,
    /// The names, and only the synced bytes of each file: a new file is empty.
    KeepsNames,
    /// The names, and half of the unsynced bytes.
    Tears,
    /// The names, with the unsynced bytes replaced by zeros.
    Zeroes,
}

/// Every kind of power cut.
pub const POWER_CUTS: [PowerCut; 4] = [PowerCut::KeepsSynced, PowerCut::KeepsNames, PowerCut::Tears, PowerCut::Zeroes];

/// See the documentation of the module.
#[derive(Clone, Debug)]
pub struct CrashDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    root: PathBuf,
    operations: usize,
    plan: Option<(usize, Fault)>,
    afterwards: Option<(usize, Fault)>,
    dead: bool,
    full: bool,
    files: Vec<Content>,
    names: BTreeMap<PathBuf, Entry>,
    synced_names: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Dir,
    File(usize),
}

#[derive(Clone, Debug, Default)]
struct Content {
    written: Vec<u8>,
    synced: Vec<u8>,
    /// After a sync that failed, the bytes in these ranges are dropped, whatever later syncs report. (Kernels would
    /// keep what is written there again; this is stricter, so that nothing relies on it.)
    dropped: Vec<(usize, usize)>,
}

impl CrashDisk {
    /// A disk on which everything in `root` is synced already.
    pub fn new(root: &Path) -> Self {
        let mut state = State { root: root.to_owned(), ..State::default() };
        take_in(&mut state, root);
        state.synced_names = state.names.clone();
        Self(Arc::new(Mutex::new(state)))
    }

    /// Makes the `at`-th operation from now (0 is the next) fail in this way.
    pub fn plan(&self, at: usize, fault: Fault) {
        let mut state = self.state();
        state.plan = Some((state.operations + at, fault));
    }

    /// Makes the `at`-th operation after the planned fault (0 is the next) fail as well.
    pub fn plan_also(&self, at: usize, fault: Fault) {
        self.state().afterwards = Some((at, fault));
    }

    /// Ends a shortage of space; planned faults remain planned.
    pub fn make_room(&self) {
        self.state().full = false;
    }

    /// The number of operations so far.
    pub fn operations(&self) -> usize {
        self.state().operations
    }

    /// Whether the planned fault has occurred.
    pub fn struck(&self) -> bool {
        self.state().plan.is_none()
    }

    /// Ends a shortage of space, and cancels planned faults.
    pub fn heal(&self) {
        let mut state = self.state();
        state.full = false;
        state.plan = None;
        state.afterwards = None;
    }

    /// Begins another process on the same disk, which sees everything that the last one wrote, synced or not.
    pub fn begin_again(&self) {
        self.heal();
        self.state().dead = false;
    }

    /// Turns the directory into what would be found after a power cut now.
    pub fn cut_power(&self, kind: PowerCut) {
        let mut state = self.state();
        let names = if kind == PowerCut::KeepsSynced { state.synced_names.clone() } else { state.names.clone() };
        for entry in fs::read_dir(&state.root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        for (path, entry) in &names {
            // A directory sorts before its contents. If its name is lost, so are they.
            if !parent(path).is_dir() {
                continue;
            }
            match entry {
                Entry::Dir => fs::create_dir(path).unwrap(),
                Entry::File(index) => fs::write(path, state.files[*index].after(kind)).unwrap(),
            }
        }
        state.dead = true;
    }

    /// Lets another program write a file, of which nothing is synced.
    pub fn write_unsynced(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        fs::write(path, bytes).unwrap();
        state.files.push(Content { written: bytes.to_owned(), ..Content::default() });
        let index = state.files.len() - 1;
        state.names.insert(path.to_owned(), Entry::File(index));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn open_by(
        &self,
        path: &Path,
        open: impl FnOnce(&Path) -> io::Result<Box<dyn Handle>>,
    ) -> io::Result<Box<dyn Handle>> {
        let mut state = self.state();
        state.operation(false).map_err(|(_, error)| error)?;
        let real = open(path)?;
        let Some(Entry::File(index)) = state.names.get(path).copied() else { panic!("{path:?} came past the disk") };
        Ok(Box::new(CrashHandle { disk: self.clone(), index, real }))
    }
}

impl Content {
    fn after(&self, kind: PowerCut) -> Vec<u8> {
        let common = self.synced.iter().zip(&self.written).take_while(|(a, b)| a == b).count();
        let mut bytes = self.synced.clone();
        // A truncation that was not synced is undone; only data that was appended is torn.
        if common == self.synced.len() {
            let unsynced = &self.written[common..];
            match kind {
                PowerCut::KeepsSynced | PowerCut::KeepsNames => {}
                PowerCut::Tears => bytes.extend(&unsynced[..unsynced.len() / 2]),
                PowerCut::Zeroes => bytes.extend(unsynced.iter().map(|_| 0)),
            }
        }
        bytes
    }

    fn sync(&mut self) {
        self.synced = self.written.clone();
        for &(from, to) in &self.dropped {
            let to = to.min(self.synced.len());
            if from < to {
                self.synced[from..to].fill(0);
            }
        }
    }

    fn drop_unsynced(&mut self) {
        let common = self.synced.iter().zip(&self.written).take_while(|(a, b)| a == b).count();
        self.dropped.push((common, self.written.len()));
    }
}

impl State {
    /// Counts an operation, and fails if it is to fail now.
    fn operation(&mut self, takes_space: bool) -> Result<(), (Fault, io::Error)> {
        if self.dead {
            return Err((Fault::Die, io::Error::other("the process is dead")));
        }
        let now = self.operations;
        self.operations += 1;
        match self.plan {
            Some((at, fault)) if at == now => {
                self.plan = self.afterwards.take().map(|(after, fault)| (self.operations + after, fault));
                let error = match fault {
                    Fault::Die => {
                        self.dead = true;
                        io::Error::other("the process dies")
                    }
                    Fault::Io => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
                    Fault::Full => {
                        self.full = true;
                        no_space()
                    }
                };
                Err((fault, error))
            }
            _ if self.full && takes_space => Err((Fault::Full, no_space())),
            _ => Ok(()),
        }
    }
}

fn no_space() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

impl Disk for CrashDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operation(true).map_err(|(_, error)| error)?;
        RealDisk.create_dir(path)?;
        state.names.insert(path.to_owned(), Entry::Dir);
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let mut state = self.state();
        state.operation(true).map_err(|(_, error)| error)?;
        let real = RealDisk.create(path)?;
        state.files.push(Content::default());
        let index = state.files.len() - 1;
        state.names.insert(path.to_owned(), Entry::File(index));
        Ok(Box::new(CrashHandle { disk: self.clone(), index, real }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        self.open_by(path, |path| RealDisk.open(path))
    }

    fn adopt(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        self.open_by(path, |path| RealDisk.adopt(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operation(false).map_err(|(_, error)| error)?;
        RealDisk.rename(from, to)?;
        let entry = state.names.remove(from).expect("it was made by way of this disk");
        state.names.insert(to.to_owned(), entry);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operation(false).map_err(|(_, error)| error)?;
        RealDisk.remove(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operation(false).map_err(|(_, error)| error)?;
        state.synced_names.retain(|name, _| parent(name) != path);
        let now: Vec<_> =
            state.names.iter().filter(|(name, _)| parent(name) == path).map(|(n, e)| (n.clone(), *e)).collect();
        state.synced_names.extend(now);
        Ok(())
    }
}

struct CrashHandle {
    disk: CrashDisk,
    index: usize,
    real: Box<dyn Handle>,
}

impl Handle for CrashHandle {
    fn length(&self) -> io::Result<u64> {
        self.real.length()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let was_dead = state.dead;
        let failed = state.operation(true);
        let bytes = match failed {
            Ok(()) => bytes,
            Err(_) if was_dead => &[],
            Err(_) => &bytes[..bytes.len() / 2],
        };
        self.real.append(bytes)?;
        state.files[self.index].written.extend(bytes);
        failed.map_err(|(_, error)| error)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.operation(false) {
            Ok(()) => state.files[self.index].sync(),
            Err((Fault::Die, error)) => return Err(error),
            Err((Fault::Io | Fault::Full, error)) => {
                state.files[self.index].drop_unsynced();
                return Err(error);
            }
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operation(false).map_err(|(_, error)| error)?;
        self.real.truncate(len)?;
        let len = usize::try_from(len).expect("a test's files are small");
        state.files[self.index].written.truncate(len);
        Ok(())
    }
}

fn take_in(state: &mut State, dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            take_in(state, &path);
            state.names.insert(path, Entry::Dir);
        } else {
            let bytes = fs::read(&path).unwrap();
            state.files.push(Content { written: bytes.clone(), synced: bytes, dropped: Vec::new() });
            state.names.insert(path, Entry::File(state.files.len() - 1));
        }
    }
}
