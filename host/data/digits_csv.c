/* SPDX-License-Identifier: BSD-3-Clause */
/* data/digits.csv.gz inside the library, so that no file has to be found at run time. */
__asm__(".pushsection .rodata\n"
        ".global mno_digits_csv_gz\n"
        ".hidden mno_digits_csv_gz\n"
        ".global mno_digits_csv_gz_end\n"
        ".hidden mno_digits_csv_gz_end\n"
        "mno_digits_csv_gz:\n"
        ".incbin \"" MNO_DIGITS_PATH "\"\n"
        "mno_digits_csv_gz_end:\n"
        ".byte 0\n"
        ".popsection\n");
