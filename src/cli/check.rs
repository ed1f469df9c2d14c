//! stub
#[derive(clap::Args)]
pub struct Args {}
pub fn run(_: &Args, _: &mut dyn std::io::Read, _: &mut dyn std::io::Write, _: &mut dyn std::io::Write, _: jiff::Timestamp) -> anyhow::Result<u8> { Ok(0) }
