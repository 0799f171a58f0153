/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file is: an HDF5 file that can be read now, or else its name and what to do about it. */
#define _GNU_SOURCE
#include "data/reader.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { HEAD = 1024 };

/* How files of other programs begin. */
static const struct {
  const char *bytes;
  size_t length, at;
  const char *what;
} kinds[] = {
#define BYTES(text) text, sizeof text - 1
    {BYTES("CDF\1"), 0, "a netCDF file in the classic format; convert it: nccopy -k nc4 OLD NEW"},
    {BYTES("CDF\2"), 0, "a netCDF file in the classic (64-bit offset) format; convert it: nccopy -k nc4 OLD NEW"},
    {BYTES("CDF\5"), 0, "a netCDF file in the classic (64-bit data) format; convert it: nccopy -k nc4 OLD NEW"},
    {BYTES("MATLAB 5.0 MAT-file"), 0, "a MATLAB file of version 5; save it in MATLAB with -v7.3, which is HDF5"},
    {BYTES("MATLAB 7.3 MAT-file"), 0, "the beginning of a MATLAB 7.3 file without the HDF5 part: it was cut; copy it again"},
    {BYTES("\x93NUMPY"), 0, "a NumPy file (.npy); write HDF5 with h5py: f[\"x\"] = numpy.load(...)"},
    {BYTES("\x0e\x03\x13\x01"), 0, "an HDF4 file, which is another format; convert it: h4toh5 OLD NEW"},
    {BYTES("PAR1"), 0, "a Parquet file; read it with pandas and write x and y with h5py"},
    {BYTES("ARROW1"), 0, "an Arrow (Feather) file; read it with pandas and write x and y with h5py"},
    {BYTES("FEA1"), 0, "a Feather file; read it with pandas and write x and y with h5py"},
    {BYTES("Obj\1"), 0, "an Avro file; write x and y to HDF5, for example with h5py"},
    {BYTES("SIMPLE  ="), 0, "a FITS file; read it with astropy and write x and y with h5py"},
    {BYTES("SQLite format 3"), 0, "an SQLite database; write x and y to HDF5, for example with h5py"},
    {BYTES("version https://git-lfs"), 0, "a git-lfs pointer, not the file itself; fetch it: git lfs pull"},
    {BYTES("BZh"), 0, "compressed with bzip2; unpack it: bunzip2 FILE"},
    {BYTES("\3757zXZ"), 0, "compressed with xz; unpack it: unxz FILE"},
    {BYTES("\x28\xb5\x2f\xfd"), 0, "compressed with zstd; unpack it: unzstd FILE"},
    {BYTES("7z\xbc\xaf\x27\x1c"), 0, "a 7-Zip archive; unpack it"},
    {BYTES("ustar"), 257, "a tar archive; unpack it"},
    {BYTES("RDX"), 0, "an R data file; write x and y to HDF5, for example with the package hdf5r"},
    {BYTES("RDA"), 0, "an R data file; write x and y to HDF5, for example with the package hdf5r"},
    {BYTES("X\n\0\0\0"), 0, "an R object (.rds); write x and y to HDF5, for example with the package hdf5r"},
    {BYTES("root"), 0, "a ROOT file; read it with uproot and write x and y with h5py"},
    {BYTES("\xff\xfe"), 0, "text in UTF-16 (of a spreadsheet?); read it with pandas and write x and y with h5py"},
    {BYTES("Octave-1"), 0, "an Octave file; save it with -hdf5 and copy the values to datasets x and y"},
    {BYTES("# Created by Octave"), 0, "an Octave text file; write x and y to HDF5, for example with h5py"},
    {BYTES("%PDF"), 0, "a PDF document"},
    {BYTES("\177ELF"), 0, "a program"},
    {BYTES("\x89PNG"), 0, "a picture (PNG)"},
    {BYTES("\xd0\xcf\x11\xe0"), 0, "an old Excel or Word document; export the numbers and write them with h5py"},
    {BYTES("GRIB"), 0, "a GRIB file; write x and y to HDF5, for example with xarray and cfgrib"},
#undef BYTES
};

/* memmem for text in any case */
static bool contains(const unsigned char *bytes, size_t length, const char *word) {
  size_t n = strlen(word);
  for (size_t i = 0; i + n <= length; i++)
    if (strncasecmp((const char *)bytes + i, word, n) == 0) return true;
  return false;
}

static const char *kind_of_zip(const unsigned char *bytes, size_t length) {
  if (contains(bytes, length, ".npy"))
    return "a NumPy archive (.npz); write HDF5 with h5py: f[\"x\"] = numpy.load(...)[\"x\"]";
  if (contains(bytes, length, "data.pkl")) return "a PyTorch file; load it with torch.load and write x and y with h5py";
  if (contains(bytes, length, "[Content_Types].xml"))
    return "an Excel (or other Office) document; read it with pandas and write x and y with h5py";
  return "a zip archive; unpack it";
}

static const char *kind_of_text(const unsigned char *bytes, size_t length) {
  size_t at = length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* a byte order mark */
  while (at < length && isspace(bytes[at])) at++;
  for (size_t i = at; i < length; i++)
    if (bytes[i] == 0x7f || (bytes[i] < ' ' && !isspace(bytes[i]))) return NULL;
  const unsigned char *text = bytes + at;
  size_t left = length - at;
  if (left >= 5 && (strncasecmp((const char *)text, "<!doc", 5) == 0 || strncasecmp((const char *)text, "<html", 5) == 0))
    return "an HTML page (a login or error page that was downloaded?); download the file itself";
  if (left && *text == '{') return "JSON text; write x and y to HDF5, for example with h5py";
  if (contains(bytes, length, ",") || contains(bytes, length, ";") || contains(bytes, length, "\t"))
    return "text (CSV?); read it with numpy.loadtxt or pandas and write x and y with h5py";
  return "text; write x and y to HDF5, for example with h5py";
}

static const char *kind_of(const unsigned char *bytes, size_t length);

static const char *kind_of_gzip(const unsigned char *bytes, size_t length) {
  unsigned char inside[HEAD];
  static const unsigned char hdf5[] = {0x89, 'H', 'D', 'F'};
  z_stream stream = {.next_in = (unsigned char *)bytes, .avail_in = (unsigned)length, .next_out = inside, .avail_out = HEAD};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return "compressed with gzip; unpack it: gunzip FILE";
  inflate(&stream, Z_SYNC_FLUSH);
  size_t n = stream.total_out;
  inflateEnd(&stream);
  if (n >= sizeof hdf5 && memcmp(inside, hdf5, sizeof hdf5) == 0)
    return "one that is compressed with gzip; unpack it: gunzip FILE";
  bool again = n >= 2 && inside[0] == 0x1f && inside[1] == 0x8b; /* some such files contain themselves */
  const char *what = n && !again ? kind_of(inside, n) : NULL;
  return what ? what : "compressed with gzip; unpack it: gunzip FILE";
}

static const char *kind_of(const unsigned char *bytes, size_t length) {
  if (length == 0) return "empty";
  if (length >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8) return kind_of_gzip(bytes, length);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].at + kinds[i].length <= length && memcmp(bytes + kinds[i].at, kinds[i].bytes, kinds[i].length) == 0)
      return kinds[i].what;
  if (length >= 4 && memcmp(bytes, "PK\3\4", 4) == 0) return kind_of_zip(bytes, length);
  if (length >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
    return "a Python pickle; load it with Python and write x and y with h5py";
  size_t zeros = 0;
  while (zeros < length && bytes[zeros] == 0) zeros++;
  if (zeros == length) return "damaged: it begins with nothing but zeros (a crash or a full disk?); copy or write it again";
  if (length > 9 && bytes[8] == '{' && bytes[6] == 0 && bytes[7] == 0) /* the length of what is in braces comes first */
    return "a safetensors file; load it with Python and write x and y with h5py";
  return kind_of_text(bytes, length);
}

/* Things with a name that are no files. */
static const char *no_file(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder, not a file (Zarr stores are folders; write HDF5)";
  if (S_ISFIFO(mode)) return "a pipe, not a file";
  if (S_ISSOCK(mode)) return "a socket, not a file";
  return S_ISREG(mode) ? NULL : "a device, not a file";
}

static mno_status not_there(const mno_data_reader *r, int why) {
  struct stat about;
  char target[512];
  ssize_t n = why == ENOENT && lstat(r->path, &about) == 0 && S_ISLNK(about.st_mode)
                  ? readlink(r->path, target, sizeof target - 1)
                  : -1;
  if (n < 0)
    return MNO_DATA_FAIL(r, "%s%s", strerror(why),
                         strstr(r->path, "://") ? "; web addresses are not read: download the file first" : "");
  target[n] = '\0';
  return MNO_DATA_FAIL(r, "a link to %s, which is not there", target);
}

/* A disk or a file server that does not answer says nothing about the file. */
static mno_status no_answer(const mno_data_reader *r, int why) {
  return mno_fail(r->err, MNO_ERR_IO, "cannot read %s: %s", r->path, strerror(why));
}

static mno_status check_head(mno_data_reader *r, int fd, const struct stat *about) {
  unsigned char bytes[HEAD];
  mno_h5_head head;
  ssize_t n = TEMP_FAILURE_RETRY(pread(fd, bytes, sizeof bytes, 0));
  if (n < 0) return no_answer(r, errno);
  if (!mno_h5_read_head(fd, &head)) {
    if (errno) return no_answer(r, errno);
    const char *what = kind_of(bytes, (size_t)n);
    return what ? MNO_DATA_FAIL(r, "not an HDF5 file but %s", what)
                : MNO_DATA_FAIL(r, "%s", "not an HDF5 file, and no other kind that is known here; write x and y with h5py");
  }
  char busy[5120];
  if (mno_h5_busy(fd, r->path, busy, sizeof busy)) return MNO_DATA_FAIL(r, "%s", busy);
  if (head.version > 3)
    return MNO_DATA_FAIL(r,
                         "written by a newer HDF5 (superblock version %d, this program knows up to 3); write it again with "
                         "an older format (h5py: libver=(\"earliest\", \"v110\"))",
                         head.version);
  if (head.part)
    return MNO_DATA_FAIL(r, "%s",
                         "one of several files that are one (HDF5's driver family, split or multi); make one file of them: "
                         "h5repart for a family, else h5py with the driver");
  if (head.size > (uint64_t)about->st_size)
    return MNO_DATA_FAIL(r, "cut off: it has %" PRIu64 " bytes of %" PRIu64 "; copy or download it again",
                         (uint64_t)about->st_size, head.size);
  r->columns_first = memcmp(bytes, "HDF5-based Julia", 16) == 0 || memcmp(bytes, "Julia data file", 15) == 0; /* JLD2, JLD */
  return MNO_OK;
}

mno_status mno_data_examine(mno_data_reader *r, int *fd) {
  struct stat about;
  if (TEMP_FAILURE_RETRY(stat(r->path, &about)) != 0)
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG || errno == EACCES
               ? not_there(r, errno)
               : no_answer(r, errno);
  const char *other = no_file(about.st_mode);
  if (other) return MNO_DATA_FAIL(r, "%s", other);
  *fd = TEMP_FAILURE_RETRY(open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (*fd < 0 && errno != EACCES && errno != EPERM) return no_answer(r, errno);
  if (*fd < 0) return MNO_DATA_FAIL(r, "cannot be opened: %s", strerror(errno));
  return check_head(r, *fd, &about);
}
