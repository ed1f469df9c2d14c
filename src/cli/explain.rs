//! stub
#[derive(clap::Args)]
pub struct Args {}
pub fn run(_: &Args, _: &mut dyn std::io::Write, _: &mut dyn std::io::Write) -> anyhow::Result<u8> { Ok(0) }
