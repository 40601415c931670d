//! The command line.

use std::{net::IpAddr, path::PathBuf};

/// How the server was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) data: PathBuf,
    pub(crate) www: Option<PathBuf>,
    pub(crate) client_header: Option<String>,
}

pub(crate) const USAGE: &str =
    "usage: neap-server --port N --data DIR [--host ADDRESS] [--www DIR] [--client-header NAME]

  --port N              the port to listen on; 0 takes a free one
  --data DIR            where the datastores are kept
  --host ADDRESS        the address to listen on; 127.0.0.1 when left out
  --www DIR             static files to serve at /
  --client-header NAME  the header in which a proxy in front tells the client's address

Settings are environment variables: NEAP_SECRET, NEAP_ORIGINS and so on.";

impl Args {
    /// Reads the arguments.
    ///
    /// # Errors
    /// In words for the operator.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Args, String> {
        let (mut host, mut port, mut data, mut www, mut client_header) =
            (IpAddr::from([127, 0, 0, 1]), None, None, None, None);
        let mut words = words.into_iter();
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or(format!("{flag} needs a value"));
            match &*flag {
                "--host" => host = parse(&flag, &value()?)?,
                "--port" => port = Some(parse(&flag, &value()?)?),
                "--data" => data = Some(value()?.into()),
                "--www" => www = Some(value()?.into()),
                "--client-header" => client_header = Some(value()?),
                _ => return Err(format!("unknown argument {flag}")),
            }
        }
        let port = port.ok_or("--port is missing")?;
        let data = data.ok_or("--data is missing")?;
        Ok(Args { host, port, data, www, client_header })
    }
}

fn parse<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{flag} cannot be {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn arguments_are_read() {
        let least = Args {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 8787,
            data: "d".into(),
            www: None,
            client_header: None,
        };
        assert_eq!(parsed("--port 8787 --data d"), Ok(least.clone()));
        let all = Args {
            host: IpAddr::from([0, 0, 0, 0]),
            www: Some("w".into()),
            client_header: Some("X-Real-IP".into()),
            ..least
        };
        let line = "--data d --client-header X-Real-IP --www w --host 0.0.0.0 --port 8787";
        assert_eq!(parsed(line), Ok(all));
    }

    #[test]
    fn bad_arguments_are_told() {
        for (line, told) in [
            ("--data d", "--port is missing"),
            ("--port 1", "--data is missing"),
            ("--port 70000 --data d", "--port cannot be 70000"),
            ("--port 1 --data", "--data needs a value"),
            ("--prot 1", "unknown argument --prot"),
        ] {
            assert_eq!(parsed(line), Err(told.into()));
        }
    }
}
