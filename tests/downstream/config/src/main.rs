//! Uses pk-config alone, as a program of somebody else would: it changes a value in bytes that it has.
//! Never a test of what it does; that it builds and runs is the point.
#![forbid(unsafe_code)]

use std::error::Error;

use pk_config::dotenv::EnvFile;
use pk_config::json::JsonFile;

fn main() -> Result<(), Box<dyn Error>> {
    let mut env = EnvFile::parse(b"export PORT=3000 # public\n")?;
    env.set("PORT", "8080")?;
    assert_eq!(env.to_bytes(), b"export PORT=8080 # public\n");
    let mut json = JsonFile::parse(b"{\"port\": 3000 }")?;
    json.set("/port", 8080)?;
    assert_eq!(json.to_bytes(), b"{\"port\": 8080 }");
    Ok(())
}
