//! Where the store is: a file, a block device. Chosen, opened with whatever must hold before it is used, and made.

use crate::args::Args;
use crate::config::Config;
use anyhow::{Context, Result, anyhow, bail, ensure};
use statefs_journal::device::signatures;
use statefs_journal::{BlockDevice, FileDevice, FormatOptions, RawDevice, Store, StoreError};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vrift_protocol::names;
use vrift_virtio_backend::{Spec, VirtioBlk};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, made when there is none, or a block device, which is never formatted unasked.
    Path(PathBuf),
    /// A virtio block device that the kernel gives away: driven by this process.
    Vfio(Spec),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => write!(out, "{}", path.display()),
            Place::Vfio(spec) => write!(out, "{spec}"),
        }
    }
}

impl Place {
    /// What was asked for: by the argument, else by the variable, else by the configuration, else a file in the state
    /// folder.
    ///
    /// # Errors
    /// One that the variable or the configuration names is relative: nobody can tell to what.
    pub fn choose(args: &Args, config: &Config, home: &Path) -> Result<Place> {
        if let Some(store) = &args.store {
            return Place::parse(store).context("--store");
        }
        let said = std::env::var_os(names::ENV_STORE).filter(|value| !value.is_empty());
        if let Some(store) = said {
            ensure!(names_one(&store), "{} is no absolute path", names::ENV_STORE);
            return Place::parse(&store).context(names::ENV_STORE);
        }
        match &config.store.device {
            Some(store) => Place::parse(store.as_os_str()).context("store.device"),
            None => Ok(Place::Path(home.join(names::STORE_FILE))),
        }
    }

    /// Its path, or that there is a device that the kernel gives away.
    ///
    /// # Errors
    /// There is none, or a driver of the kernel has it.
    pub fn look(&self) -> Result<Option<&Path>> {
        match self {
            Place::Path(path) => Ok(Some(path)),
            Place::Vfio(spec) => {
                spec.look()?;
                Ok(None)
            }
        }
    }

    fn parse(text: &OsStr) -> Result<Place> {
        if let Some(text) = text.to_str().filter(|text| Spec::is_meant(text)) {
            return Ok(Place::Vfio(Spec::parse(text)?));
        }
        Ok(Place::Path(std::path::absolute(text)?))
    }

    /// Its device, for this process alone. A file that is missing is made, with an empty store in it.
    ///
    /// # Errors
    /// There is none, somebody else has it, it cannot be one, or it holds something that is not a store.
    pub fn open(&self) -> Result<Arc<dyn BlockDevice>> {
        if let Place::Path(path) = self
            && !path.try_exists().with_context(|| format!("cannot look for {self}"))?
        {
            ensure!(!path.starts_with("/dev"), "there is no device {self}");
            Store::create_file(path, &FormatOptions::default())
                .with_context(|| format!("cannot make the store {self}"))?;
        }
        let device = self.open_any().with_context(|| format!("cannot open {self}"))?;
        if self.is_device()
            && let Some(found) = signatures::find(&*device).with_context(|| format!("cannot read {self}"))?
        {
            let error =
                StoreError::Foreign { name: self.to_string(), what: found.what, offset: found.offset };
            return Err(anyhow!(error).context(self.hint_to_make()));
        }
        Ok(device)
    }

    /// Its device as it is, for a look at a damaged store: nothing is made.
    ///
    /// # Errors
    /// As [`Place::open`], but for what it holds.
    pub fn open_to_check(&self) -> Result<Arc<dyn BlockDevice>> {
        self.open_any().with_context(|| format!("cannot open {self}"))
    }

    fn open_any(&self) -> Result<Arc<dyn BlockDevice>> {
        Ok(match self {
            Place::Vfio(spec) => Arc::new(VirtioBlk::open(spec)?),
            Place::Path(path) if self.is_device() => Arc::new(RawDevice::open(path)?),
            Place::Path(path) => Arc::new(FileDevice::open(path)?),
        })
    }

    /// Whether it was there before any store was, and may be somebody else's.
    fn is_device(&self) -> bool {
        match self {
            Place::Vfio(_) => true,
            Place::Path(path) => fs::metadata(path).is_ok_and(|stat| stat.file_type().is_block_device()),
        }
    }

    /// Whether it is on another device than `folder`: a power cut may take the one and not the other.
    ///
    /// # Errors
    /// What stat(2) says.
    pub fn is_elsewhere(&self, folder: &Path) -> std::io::Result<bool> {
        let Place::Path(path) = self else { return Ok(true) };
        let store = fs::metadata(path)?;
        Ok(store.file_type().is_block_device() || store.dev() != fs::metadata(folder)?.dev())
    }

    /// What to say where no store is found.
    pub fn hint_to_make(&self) -> String {
        format!("no store can be opened there; vriftd --store {self} --init makes one")
    }

    /// Makes an empty store where there is nothing, or, where its name is said again as `overwrite`, in place of whatever
    /// is there. Ends when it was read back.
    ///
    /// # Errors
    /// Something is there; it cannot be written; what was written is not what is read.
    pub fn init(&self, overwrite: Option<&OsStr>) -> Result<String> {
        let overwrite = match overwrite {
            None => false,
            Some(name) if Place::parse(name).is_ok_and(|named| named == *self) => true,
            Some(name) => bail!("--overwrite names {}, --store {self}: nothing was done", name.display()),
        };
        match self {
            Place::Path(path) if is_missing(path) => {
                ensure!(!path.starts_with("/dev"), "there is no device {self}");
                Store::create_file(path, &FormatOptions::default())
                    .with_context(|| format!("cannot make the store {self}"))?;
            }
            _ => self.format(overwrite)?,
        }
        let device = self.open()?;
        let len_bytes = device.len_bytes();
        let store = Store::open(device, &mut |_| Ok(())).context("what was written cannot be read")?;
        Ok(format!("store {} made on {self}, {} MiB", store.id(), len_bytes >> 20))
    }

    fn format(&self, overwrite: bool) -> Result<()> {
        let device = self.open_any().with_context(|| format!("cannot open {self}"))?;
        let again = format!("to lose it: vriftd --store {self} --init --overwrite {self}");
        match signatures::find(&*device).with_context(|| format!("cannot read {self}"))? {
            Some(found) if !overwrite => {
                let (what, offset) = (found.what, found.offset);
                return Err(
                    anyhow!(StoreError::Foreign { name: self.to_string(), what, offset }).context(again)
                );
            }
            _ if overwrite => signatures::wipe(&*device).with_context(|| format!("cannot write {self}"))?,
            _ => {}
        }
        match Store::format(&*device, &FormatOptions { overwrite }) {
            Err(error @ StoreError::AlreadyFormatted) => Err(anyhow!(error).context(again)),
            other => other.map(drop).with_context(|| format!("cannot make a store on {self}")),
        }
    }
}

/// Whether the text names a place wherever it is read.
pub fn names_one(text: &OsStr) -> bool {
    Path::new(text).is_absolute() || text.to_str().is_some_and(Spec::is_meant)
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}
