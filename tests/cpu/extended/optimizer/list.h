#define MNO_OPTIMIZER_LIST(X) X(heavy_ball)
