//! Passwords: hashed where they are chosen, verified where they are sent. Both take long, by intent: never on a core of the
//! gateway, and never many at once.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
    rand,
};
use flexgate_schemas::{
    chain::hex,
    key::{PasswordHash, basic::Argon2id},
};

/// What a new hash takes to verify: the least that is recommended by OWASP, since every node pays it.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The bytes of a new hash.
const HASH_BYTES: usize = 32;

/// The system gives no random bytes, or no memory.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a password cannot be hashed: the system gives no random bytes or no memory")]
pub struct HashingFailed;

/// A hash of a password, with a salt of its own.
pub fn hash(password: &[u8]) -> Result<PasswordHash, HashingFailed> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| HashingFailed)?;
    let parts = new_parts(salt.into());
    let hash = derive(&parts, password).ok_or(HashingFailed)?;
    PasswordHash::try_from(&Argon2id { hash, ..parts }).map_err(|_| HashingFailed)
}

/// Whether this is the password. Takes as long if it is not.
pub fn verify(hash: &PasswordHash, password: &[u8]) -> bool {
    let parts = hash.parts();
    derive(&parts, password).is_some_and(|derived| verify_slices_are_equal(&derived, &parts.hash).is_ok())
}

/// A hash of something that has a password in it, the same for the same salt, and as long to compute as that of the password.
pub fn stretched(text: &[u8], salt: &[u8]) -> Result<String, HashingFailed> {
    let parts = new_parts(digest(&SHA256, salt).as_ref().into());
    let derived = derive(&parts, text).ok_or(HashingFailed)?;
    Ok(hex(&derived))
}

/// How hashes are made today, with room for one.
fn new_parts(salt: Vec<u8>) -> Argon2id {
    Argon2id {
        memory: MEMORY,
        passes: PASSES,
        lanes: LANES,
        salt,
        hash: vec![0; HASH_BYTES],
    }
}

fn derive(parts: &Argon2id, password: &[u8]) -> Option<Vec<u8>> {
    let Argon2id {
        memory,
        passes,
        lanes,
        salt,
        hash,
    } = parts;
    let params = Params::new(*memory, *passes, *lanes, Some(hash.len())).ok()?;
    let mut derived = vec![0; hash.len()];
    let argon2id = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2id.hash_password_into(password, salt, &mut derived).ok()?;
    Some(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified_by_its_hash_and_no_two_hashes_are_the_same() {
        let [one, other] = [(); 2].map(|()| hash(b"correct horse").unwrap());
        assert_ne!(one, other);
        assert!(verify(&one, b"correct horse") && verify(&other, b"correct horse"));
        assert!(!verify(&one, b"correct horsf"));
    }

    /// `printf %s hunter2 | argon2 somesalt -id -t 2 -k 64 -p 4 -l 32 -e`
    #[test]
    fn hashes_that_others_have_made_are_understood() {
        let hash: PasswordHash =
            "$argon2id$v=19$m=64,t=2,p=4$c29tZXNhbHQ$sBKCnBWeQiQoj8VxXqmHq5WdmO/IsfgrgyK3uNhymP4"
                .parse()
                .unwrap();
        assert!(verify(&hash, b"hunter2"));
        assert!(!verify(&hash, b"hunter3"));
    }

    #[test]
    fn what_is_stretched_is_the_same_again_and_with_another_salt_is_not() {
        let stretch = |text: &[u8], salt: &[u8]| stretched(text, salt).unwrap();
        assert_eq!(stretch(b"a", b"1"), stretch(b"a", b"1"));
        assert_ne!(stretch(b"a", b"1"), stretch(b"a", b"2"));
        assert_ne!(stretch(b"a", b"1"), stretch(b"b", b"1"));
    }
}
