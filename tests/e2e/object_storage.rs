//! Backups in an object storage with the protocol of Amazon S3, behind a proxy with faults.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::cluster::{Cluster, Need, eventually};
use crate::proxy::HttpProxy;
use crate::stack;

const BUCKET: &str = "backups";
const KEY: &str = "backup";
const SECRET: &str = "secret-of-the-object-storage";

/// A server on this machine, which ends with the test.
struct ObjectStorage {
    server: Child,
    address: SocketAddr,
    /// Its buckets are directories.
    folder: PathBuf,
}

impl ObjectStorage {
    fn start(cluster: &Cluster) -> Self {
        let folder = cluster.folder("object-storage");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join(BUCKET)).expect("a bucket");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let server = cluster
            .command("versitygw", &["--port", &address.to_string(), "--quiet", "posix"])
            .arg(&folder)
            .env("ROOT_ACCESS_KEY", KEY)
            .env("ROOT_SECRET_KEY", SECRET)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("an object storage");
        eventually("the object storage responds", || TcpStream::connect(address).is_ok());
        Self { server, address, folder }
    }

    /// The folders of backups below a prefix.
    fn backups(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join(BUCKET).join(prefix)).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

impl Drop for ObjectStorage {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A cluster whose commands use the server at an address.
fn with_storage(address: SocketAddr, secret: &str) -> Cluster {
    stack()
        .clone()
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ENDPOINT_URL", &format!("http://{address}"))
}

#[test]
fn object_storage_with_faults_keeps_a_backup_that_was_interrupted() {
    if Need::ObjectStorage.is_missing() {
        return;
    }
    let storage = ObjectStorage::start(stack());
    let proxy = HttpProxy::start(storage.address);
    let cluster = with_storage(proxy.address, SECRET);
    let location = format!("s3://{BUCKET}/la");
    with_storage(storage.address, "not-the-secret")
        .lastack(&format!("backup {location}"))
        .exits(1)
        .shows("the object storage responded with 403 Forbidden")
        .shows("hint: check the bucket, its permissions, and AWS_ACCESS_KEY_ID")
        .never_shows("not-the-secret");
    cluster.lastack("backup s3://absent/la").exits(1).shows("s3://absent/la").shows("404");

    let mut killed = cluster.start(&format!("backup {location}"));
    let has = |folder: &Path| folder.join("dataviz/postgresql.dump").exists();
    eventually("a database is copied", || storage.backups("la").iter().any(|one| has(one)));
    killed.kill().expect("SIGKILL");
    killed.wait().expect("its end");
    cluster.lastack(&format!("backup list {location}")).good().shows("incomplete");
    cluster
        .lastack(&format!("backup {location}"))
        .good()
        .shows("Continuing backup ")
        .shows("Complete: ")
        .never_shows(SECRET);
    assert_eq!(storage.backups("la").len(), 1, "the killed attempt should have been continued");
    assert!(proxy.disturbed() > 0, "requests should have failed");
    cluster.lastack(&format!("backup verify {location}")).good().shows("as in the manifest");
    cluster
        .lastack(&format!("restore {location} --only statements"))
        .good()
        .shows("statements, each verified");
    cluster.lastack(&format!("backup {location}")).good();
    cluster
        .lastack(&format!("backup prune {location} --keep 1 --yes"))
        .good()
        .shows("Deleted 1 backup");
    cluster.lastack(&format!("backup verify {location}")).good().shows("as in the manifest");
}
