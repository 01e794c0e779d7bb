//! The socket in the file system.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::error::{Error, Result};

/// Connections that wait to be taken.
const BACKLOG: i32 = 16;

/// A control socket, which goes away when this is dropped.
#[derive(Debug)]
#[must_use = "the socket goes away when this is dropped"]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of its file.
    file: Option<(u64, u64)>,
}

/// Where the commands for one run come in.
#[derive(Debug)]
pub struct Listener(pub(super) UnixListener);

impl Control {
    /// Makes the socket, for its user alone. A socket that a killed run has left there is replaced.
    ///
    /// # Errors
    ///
    /// Fails where there is anything else, or the operating system denies it.
    pub fn bind(path: &Path) -> Result<Self> {
        let failed = |reason: io::Error| Error::Control { path: path.to_owned(), reason: reason.to_string() };
        if let Ok(metadata) = fs::symlink_metadata(path) {
            make_way(path, &metadata)?;
        }
        let make = || -> io::Result<UnixListener> {
            let socket = new_socket()?;
            // The file gets the mode that the socket has.
            fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
            bind(&socket, &SocketAddrUnix::new(path)?)?;
            listen(&socket, BACKLOG)?;
            Ok(socket.into())
        };
        let listener = make().map_err(failed)?;
        let file = fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        Ok(Self { listener, path: path.to_owned(), file })
    }

    /// Returns where the commands for a run come in.
    ///
    /// # Errors
    ///
    /// Fails where the operating system has no descriptor left.
    pub fn listener(&self) -> Result<Listener> {
        self.listener.try_clone().map(Listener).map_err(Error::system("copy the control socket"))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Somebody else's by now is left alone.
        let now = fs::symlink_metadata(&self.path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if now.is_some() && now == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Connects, if that can be done at once.
fn try_connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Takes away a socket at which nobody listens.
fn make_way(path: &Path, metadata: &Metadata) -> Result<()> {
    let refuse = |reason: &str| Error::Control { path: path.to_owned(), reason: reason.to_owned() };
    if !metadata.file_type().is_socket() {
        return Err(refuse("there is a file that is no socket"));
    }
    match try_connect(path).map_err(|error| (error.kind(), error)) {
        // Would it block, then all have connected that may wait, as to a run that is stopped.
        Ok(_) | Err((ErrorKind::WouldBlock, _)) => Err(refuse("somebody listens there already")),
        Err((ErrorKind::ConnectionRefused, _)) => {
            fs::remove_file(path).map_err(|error| refuse(&error.to_string()))
        }
        Err((_, error)) => Err(refuse(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;
    use std::{iter, thread};

    use super::*;

    #[test]
    fn only_a_socket_that_nobody_listens_at_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control");
        let control = Control::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let refused = Control::bind(&path).unwrap_err().to_string();
        let text =
            format!("cannot make the control socket `{}`: somebody listens there already", path.display());
        assert_eq!(refused, text);
        let clients: Vec<OwnedFd> = iter::from_fn(|| try_connect(&path).ok()).collect();
        assert!(!clients.is_empty(), "until no more may wait");
        let (sender, refused) = mpsc::channel();
        let to = path.clone();
        thread::spawn(move || sender.send(Control::bind(&to).unwrap_err().to_string()));
        assert_eq!(refused.recv_timeout(Duration::from_secs(5)), Ok(text));
        drop(control);
        assert!(!path.exists());

        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a killed run leaves it");
        let control = Control::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(control);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine", "another's file is left alone");
        let refused = Control::bind(&path).unwrap_err().to_string();
        assert!(refused.ends_with("there is a file that is no socket"), "{refused}");
        let refused = Control::bind(&directory.path().join("x".repeat(200))).unwrap_err().to_string();
        assert!(refused.starts_with("cannot make the control socket `"), "{refused}");
    }
}
