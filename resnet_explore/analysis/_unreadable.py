"""What reading arrays from a file raises where that is damaged, or a file of something else."""

import zipfile
import zlib

UNREADABLE = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)
