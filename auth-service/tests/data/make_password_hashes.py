"""Makes password-hashes.tsv: hashes by the real libraries. README.md says how to run it."""

import warnings

import argon2
import bcrypt
import django
import passlib.hash as passlib
import werkzeug.security as werkzeug
from django.conf import settings

warnings.simplefilter("ignore")
settings.configure()
django.setup()
from django.contrib.auth import hashers  # noqa: E402

PASSWORDS = ["correct horse battery", "pässwörd-1", "72 bytes and more: " + "x" * 80]
# NFC and NFD of one word: the other systems hashed what was typed.
DECOMPOSED = "pa\u0308sswo\u0308rd-2"


def django_hash(password, kind, **work):
    hasher = type(hashers.get_hasher(kind))()
    for name, value in work.items():
        setattr(hasher, name, value)
    return hasher.encode(password, hasher.salt())


def rows():
    for password in PASSWORDS + [DECOMPOSED]:
        yield "werkzeug-scrypt", password, werkzeug.generate_password_hash(password, "scrypt:1024:8:1")
        for digest in ("sha1", "sha256", "sha512"):
            yield f"werkzeug-pbkdf2-{digest}", password, werkzeug.generate_password_hash(password, f"pbkdf2:{digest}:1000")
        yield "passlib-pbkdf2-sha1", password, passlib.pbkdf2_sha1.using(rounds=1000).hash(password)
        yield "passlib-pbkdf2-sha256", password, passlib.pbkdf2_sha256.using(rounds=1000).hash(password)
        yield "passlib-pbkdf2-sha512", password, passlib.pbkdf2_sha512.using(rounds=1000).hash(password)
        yield "django-pbkdf2-sha256", password, django_hash(password, "pbkdf2_sha256", iterations=1000)
        yield "django-pbkdf2-sha1", password, django_hash(password, "pbkdf2_sha1", iterations=1000)
        yield "django-scrypt", password, django_hash(password, "scrypt", work_factor=1024)
        yield "django-argon2", password, django_hash(password, "argon2", memory_cost=1024, time_cost=1, parallelism=2)
        yield "django-bcrypt-sha256", password, django_hash(password, "bcrypt_sha256", rounds=4)
        # bcrypt 5 refuses more than 72 bytes, which the versions before cut off without a word.
        short = password.encode()[:72]
        for prefix in (b"2a", b"2b"):
            yield "bcrypt", password, bcrypt.hashpw(short, bcrypt.gensalt(4, prefix)).decode()
        # PHP writes $2y$ for what everybody else calls $2b$.
        yield "bcrypt", password, bcrypt.hashpw(short, bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
        for kind in (argon2.Type.ID, argon2.Type.I, argon2.Type.D):
            hasher = argon2.PasswordHasher(time_cost=2, memory_cost=1024, parallelism=2, type=kind)
            yield f"argon2{kind.name.lower()}", password, hasher.hash(password)
        low = argon2.low_level.hash_secret(password.encode(), b"somesaltsomesalt", 2, 1024, 1, 32, argon2.Type.I, version=16)
        yield "argon2i", password, low.decode()
    # At the cost that the libraries choose by themselves.
    password = PASSWORDS[0]
    yield "werkzeug-scrypt", password, werkzeug.generate_password_hash(password)
    yield "werkzeug-pbkdf2-sha256", password, werkzeug.generate_password_hash(password, "pbkdf2")
    yield "passlib-pbkdf2-sha256", password, passlib.pbkdf2_sha256.hash(password)
    yield "django-pbkdf2-sha256", password, django_hash(password, "pbkdf2_sha256")
    yield "django-scrypt", password, django_hash(password, "scrypt")
    yield "django-argon2", password, django_hash(password, "argon2")
    yield "bcrypt", password, bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()
    yield "argon2id", password, argon2.PasswordHasher().hash(password)


for row in rows():
    print("\t".join(row))
