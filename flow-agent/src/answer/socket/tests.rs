use super::*;

#[test]
fn the_socket_of_a_dead_agent_is_replaced_and_goes_with_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0123456789abcdef.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket that nobody listens at");
    let socket = UnixSocket::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    UnixStream::connect(&path).unwrap();
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn what_is_not_a_stale_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link, living) =
        (directory.path().join("file"), directory.path().join("link"), directory.path().join("living"));
    fs::write(&file, "kept").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let _living = UnixListener::bind(&living).unwrap();
    for (path, expected) in [
        (&file, "is not a socket: it is left alone"),
        (&link, "is a symbolic link: it is left alone"),
        (&directory.path().to_owned(), "is a directory: it is left alone"),
    ] {
        let error = UnixSocket::bind(path).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    assert!(matches!(UnixSocket::bind(&living), Err(SocketError::Taken { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    UnixStream::connect(&living).unwrap();
}

#[test]
fn the_file_of_a_successor_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let socket = UnixSocket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    // The old file is still open, so the new one cannot get its inode number.
    let successor = UnixListener::bind(&path).unwrap();
    drop(socket);
    assert!(path.exists());
    drop(successor);
}
