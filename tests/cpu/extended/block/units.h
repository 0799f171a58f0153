#include "gated/unit.h"
