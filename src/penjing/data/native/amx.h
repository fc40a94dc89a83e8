// GCC's own _tile_loadconfig (amxtileintrin.h, until 13) tells the compiler of 8 of the 64 bytes that it reads, so the
// others are never written, no tile has rows, and the first AMX instruction ends the process.
#pragma once

#if defined(__AMX_TILE__) && defined(__GNUC__)
#include <immintrin.h>
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(const char(*)[64])(config)))
#endif
