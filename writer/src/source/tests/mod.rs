//! Facts about the sources.

mod damage;
mod follow;
mod long_lines;
mod many_files;
mod names;
mod place;
mod reading;
mod refused;
mod restart;
mod stream;
mod times;
mod whole_content;
