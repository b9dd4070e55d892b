/*
 * limn/limn.h - the whole public API of liblimn. (Figures are a second library: limn/plot.h.)
 */
#ifndef LIMN_LIMN_H
#define LIMN_LIMN_H

#include <limn/analysis.h>
#include <limn/base.h>
#include <limn/batch.h>
#include <limn/edit.h>
#include <limn/io.h>
#include <limn/kernels.h>
#include <limn/model.h>
#include <limn/nn.h>
#include <limn/npy.h>
#include <limn/random.h>
#include <limn/safetensors.h>
#include <limn/sample.h>
#include <limn/session.h>
#include <limn/speculate.h>
#include <limn/sweep.h>
#include <limn/tensor.h>
#include <limn/tokenizer.h>
#include <limn/tokenizer_training.h>

#endif
