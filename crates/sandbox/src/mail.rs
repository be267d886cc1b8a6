//! SMTP servers beside the environment: the one that maint's agent.toml names, and those that mail1 may send to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::accounts::Duty;
use crate::blueprint::Blueprint;
use crate::error::{Error, Result};
use crate::hosts::{Host, SMTP_PORT};
use crate::run;
use crate::service::{Ready, Service};

/// Who signs in there.
pub const USER: &str = "orocloud";

/// Technical contacts of the environment.
pub const CONTACTS: [&str; 2] = ["dora@example.com", "eve@example.com"];

const PROGRAM: &str = include_str!("mail.py");

/// Where it keeps what it took.
pub fn folder(blueprint: &Blueprint, host: &Host) -> PathBuf {
    blueprint.node(host).root.join("mail")
}

/// The authority of its certificate.
pub fn authority(blueprint: &Blueprint, host: &Host) -> PathBuf {
    blueprint.node(host).etc("authority.crt")
}

/// Writes what it needs and gives the service.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<Service> {
    let layout = blueprint.node(host);
    let accounts = &blueprint.accounts;
    let folder = folder(blueprint, host);
    accounts.folder(&folder, Duty::Mail, 0o755)?;
    let program = layout.etc("mail.py");
    fs::write(&program, PROGRAM)?;
    let password = layout.etc("password");
    accounts.file(&password, Duty::Mail, 0o600, &blueprint.secrets.mail)?;
    certify(blueprint, host)?;
    let mut command = accounts.prefix(Duty::Mail, &[]);
    let listens = blueprint.addresses.real_port(host, SMTP_PORT);
    for word in [
        "/usr/bin/python3".to_owned(),
        program.display().to_string(),
        format!("--address={}", listens.ip()),
        format!("--port={}", listens.port()),
        format!("--folder={}", folder.display()),
        format!("--certificate={}", layout.etc("server.crt").display()),
        format!("--key={}", layout.etc("server.key").display()),
        format!("--user={USER}"),
        format!("--password-file={}", password.display()),
    ] {
        command.push(word);
    }
    let mut service = blueprint.service(host, "smtp", command, Ready::Port(listens));
    service.reload_signal = None;
    Ok(service)
}

/// Hands messages to an SMTP server that wants neither TLS nor a password, over one connection.
pub fn submit(address: &str, from: &str, to: &str, message_ids: &[String]) -> Result<()> {
    let stream = TcpStream::connect((address, SMTP_PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    let mut talk = |text: &str, good: char| -> Result<()> {
        (&stream).write_all(text.as_bytes())?;
        loop {
            let line = answers.next().ok_or_else(|| Error::new("Postfix ended the connection"))??;
            if line.as_bytes().get(3) == Some(&b'-') {
                continue;
            }
            return match line.starts_with(good) {
                true => Ok(()),
                false => Err(Error::new(format!("after {text:?} Postfix said: {line}"))),
            };
        }
    };
    talk("", '2')?;
    talk("EHLO application.example.com\r\n", '2')?;
    for id in message_ids {
        talk(&format!("MAIL FROM:<{from}>\r\n"), '2')?;
        talk(&format!("RCPT TO:<{to}>\r\n"), '2')?;
        talk("DATA\r\n", '3')?;
        let head = format!("From: {from}\r\nTo: {to}\r\nMessage-ID: <{id}>\r\nSubject: an order\r\n");
        talk(&format!("{head}\r\nThank you for your order.\r\n.\r\n"), '2')?;
    }
    talk("QUIT\r\n", '2')
}

/// An authority, and a certificate of it for the server's address.
fn certify(blueprint: &Blueprint, host: &Host) -> Result<()> {
    let layout = blueprint.node(host);
    let path = |name: &str| layout.etc(name).display().to_string();
    let address = blueprint.addresses.public(host);
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let openssl = |arguments: &[&str]| run::plain(&[&["/usr/bin/openssl"], arguments].concat()).map(drop);
    let (authority, key) = (authority(blueprint, host).display().to_string(), path("authority.key"));
    let own =
        ["req", "-x509", "-days", "30", "-subj", "/CN=mail authority", "-keyout", &key, "-out", &authority];
    openssl(&[&own[..], &curve].concat())?;
    let name = format!("subjectAltName=IP:{address}");
    let (server, request) = (path("server.key"), path("server.csr"));
    let asked = ["req", "-subj", "/CN=mail", "-addext", &name, "-keyout", &server, "-out", &request];
    openssl(&[&asked[..], &curve].concat())?;
    openssl(&[
        "x509",
        "-req",
        "-days",
        "30",
        "-copy_extensions",
        "copy",
        "-in",
        &request,
        "-CA",
        &authority,
        "-CAkey",
        &key,
        "-CAcreateserial",
        "-out",
        &path("server.crt"),
    ])?;
    blueprint.accounts.give(&layout.etc("server.key"), Duty::Mail, 0o600)
}
