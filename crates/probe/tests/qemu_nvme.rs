//! A real NVMe driver and controller, in a guest: the drive is found, its temperature and SMART
//! log are read, its count of the bytes read matches the block layer's, and every read is in the
//! histogram of block latency.
//!
//! Needs `qemu-system-x86_64`, a static `busybox`, and a Debian kernel with its modules, unpacked
//! (`apt-get download linux-image-VERSION-amd64 && dpkg-deb -x linux-image-*.deb TREE`; the cloud
//! kernels lack hwmon). It runs only where SPILLPOINT_QEMU_KERNEL names that tree, and needs the
//! examples: `cargo test -p probe`, or `cargo build -p probe --examples` before it.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What the driver needs, in the order in which it needs it; a kernel may have some built in.
const MODULES: &[&str] = &[
    "crct10dif_common",
    "crct10dif-pclmul",
    "crc64",
    "crct10dif_generic",
    "crc-t10dif",
    "crc64_rocksoft_generic",
    "crc64-rocksoft",
    "t10-pi",
    "nvme-core",
    "nvme",
];

const INIT: &str = "#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc p /proc; $B mount -t sysfs s /sys; $B mount -t devtmpfs d /dev
$B mount -t tracefs t /sys/kernel/tracing
for module in $($B cat /modules); do $B insmod /$module; done
tries=0
while [ ! -b /dev/nvme0n1 ] && [ $tries -lt 100 ]; do $B usleep 50000; tries=$((tries+1)); done
/bin/nvme_check /dev/nvme0n1 64
$B poweroff -f
";

#[test]
fn a_controllers_log_matches_the_bytes_that_were_read() {
    let Some(tree) = std::env::var_os("SPILLPOINT_QEMU_KERNEL").map(PathBuf::from) else {
        eprintln!("skipped: SPILLPOINT_QEMU_KERNEL=TREE would boot a guest with an NVMe drive");
        return;
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let initramfs = folder.path().join("initramfs");
    fs::write(&initramfs, guest(&tree)).unwrap();
    let drive = folder.path().join("nvme.img");
    fs::File::create(&drive)
        .unwrap()
        .set_len(256 << 20)
        .unwrap();
    let told = boot(
        &file_named(&tree.join("boot"), "vmlinuz"),
        &initramfs,
        &drive,
    );
    eprintln!("{told}");
    for part in [
        "name: Some(\"nvme0n1\")",
        "model: Some(\"QEMU NVMe Ctrl\")",
        "controller: Some(\"nvme0\")",
        "source: AdminCommand",
        "temp_kelvin: 323",
        "temperature Some(Real(49.85))",
        "faults []",
        "AGREES",
        "requests AGREE",
    ] {
        assert!(told.contains(part), "no {part:?} in:\n{told}");
    }
}

/// The guest's files: busybox, the modules, and `nvme_check` with its libraries.
fn guest(tree: &Path) -> Vec<u8> {
    let mut archive = Archive::default();
    for folder in ["bin", "proc", "sys", "dev"] {
        archive.folder(folder);
    }
    let check = example("nvme_check");
    let busybox = Path::new("/bin/busybox");
    archive.file("bin/busybox", &read(busybox));
    archive.file("bin/nvme_check", &read(&check));
    for library in libraries(&check) {
        let name = library.to_string_lossy().trim_start_matches('/').to_owned();
        archive.file(&name, &read(&library));
    }
    let modules: Vec<_> = MODULES
        .iter()
        .filter_map(|module| {
            let name = format!("{module}.ko");
            let file = find(&tree.join("lib/modules"), &|found| found == name)?;
            archive.file(&name, &read(&file));
            Some(name)
        })
        .collect();
    archive.file("modules", modules.join("\n").as_bytes());
    archive.file("init", INIT.as_bytes());
    archive.end()
}

fn boot(kernel: &Path, initramfs: &Path, drive: &Path) -> String {
    const LONGEST: Duration = Duration::from_secs(180);
    let mut command = Command::new("qemu-system-x86_64");
    command.args([
        "-machine",
        "q35,accel=tcg",
        "-cpu",
        "max",
        "-m",
        "512",
        "-nodefaults",
    ]);
    command.args(["-display", "none", "-no-reboot", "-serial", "stdio"]);
    command.args([
        "-append",
        "console=ttyS0 quiet panic=-1 psi=1 mitigations=off",
    ]);
    command
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs);
    command
        .arg("-drive")
        .arg(format!("file={},format=raw,if=none,id=d0", drive.display()));
    command.args(["-device", "nvme,serial=QEMU0001,drive=d0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guest = command.spawn().expect("qemu-system-x86_64 is installed");
    let mut console = guest.stdout.take().expect("its output is piped");
    let reader = thread::spawn(move || {
        let mut told = Vec::new();
        console.read_to_end(&mut told).map(|_| told)
    });
    let began = Instant::now();
    while guest.try_wait().expect("the guest is our child").is_none() {
        if began.elapsed() > LONGEST {
            guest.kill().expect("the guest is our child");
        }
        thread::sleep(Duration::from_millis(50));
    }
    let told = reader.join().expect("the reader does not panic");
    String::from_utf8_lossy(&told.expect("a pipe can be read")).into_owned()
}

/// An archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    folders: Vec<String>,
    entries: u32,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        if !self.folders.iter().any(|other| other == name) {
            self.folders.push(name.to_owned());
            self.entry(name, 0o040_755, &[]);
        }
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        let mut folders: Vec<_> = Path::new(name).ancestors().skip(1).collect();
        folders.pop();
        for folder in folders.iter().rev() {
            self.folder(&folder.to_string_lossy());
        }
        self.entry(name, 0o100_755, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

/// An example of this crate, which `cargo test` builds beside its tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let profile = test.ancestors().nth(2).expect("tests are in deps");
    profile.join("examples").join(name)
}

/// The shared libraries that a program is loaded with.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.expect("ldd is part of the C library");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn file_named(folder: &Path, start: &str) -> PathBuf {
    find(folder, &|name| name.starts_with(start)).expect("the tree holds a kernel")
}

fn find(folder: &Path, fits: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            return find(&path, fits);
        }
        fits(path.file_name()?.to_str()?).then_some(path)
    })
}
