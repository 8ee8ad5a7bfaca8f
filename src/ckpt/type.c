/* SPDX-License-Identifier: BSD-3-Clause */
/* type.c - MPI datatypes as the element types that are stored, and back. */
#include "ckpt/type.h"

#include <stdbool.h>
#include <stddef.h>
#include "common/set.h"
#include "holdfast.h"

/* What the elements of a type are; with their size, this gives the element type. */
enum class { CLASS_BYTE, CLASS_CHAR, CLASS_SIGNED, CLASS_UNSIGNED, CLASS_REAL, CLASS_LONG_DOUBLE,
	     CLASS_COMPLEX, CLASS_BOOL, CLASS_LOGICAL };

static uint32_t element_of_class(enum class class, int bytes)
{
	switch (class) {
	case CLASS_BYTE:
		return bytes == 1 ? ELEMENT_BYTE : 0;
	case CLASS_CHAR:
		return bytes == 1 ? ELEMENT_CHAR : 0;
	case CLASS_SIGNED:
		return bytes == 1   ? ELEMENT_INT8
		       : bytes == 2 ? ELEMENT_INT16
		       : bytes == 4 ? ELEMENT_INT32
		       : bytes == 8 ? ELEMENT_INT64
				    : 0;
	case CLASS_UNSIGNED:
		return bytes == 1   ? ELEMENT_UINT8
		       : bytes == 2 ? ELEMENT_UINT16
		       : bytes == 4 ? ELEMENT_UINT32
		       : bytes == 8 ? ELEMENT_UINT64
				    : 0;
	case CLASS_REAL:
		return bytes == 4 ? ELEMENT_FLOAT : bytes == 8 ? ELEMENT_DOUBLE : 0;
	case CLASS_LONG_DOUBLE:
		return ELEMENT_LONG_DOUBLE;
	case CLASS_COMPLEX:
		return bytes == 8 ? ELEMENT_COMPLEX_FLOAT : bytes == 16 ? ELEMENT_COMPLEX_DOUBLE : 0;
	case CLASS_BOOL:
		return ELEMENT_BOOL;
	case CLASS_LOGICAL:
		return ELEMENT_LOGICAL;
	}
	return 0;
}

/* The class of a predefined type; false where it has none (pairs, quadruple precision and the like). */
static bool named_class(MPI_Datatype type, enum class *class)
{
	const struct {
		MPI_Datatype type;
		enum class class;
	} names[] = {
		{MPI_BYTE, CLASS_BYTE},
		{MPI_PACKED, CLASS_BYTE},
		{MPI_CHAR, CLASS_CHAR},
		{MPI_CHARACTER, CLASS_CHAR},
		{MPI_SIGNED_CHAR, CLASS_SIGNED},
		{MPI_SHORT, CLASS_SIGNED},
		{MPI_INT, CLASS_SIGNED},
		{MPI_LONG, CLASS_SIGNED},
		{MPI_LONG_LONG, CLASS_SIGNED},
		{MPI_INT8_T, CLASS_SIGNED},
		{MPI_INT16_T, CLASS_SIGNED},
		{MPI_INT32_T, CLASS_SIGNED},
		{MPI_INT64_T, CLASS_SIGNED},
		{MPI_AINT, CLASS_SIGNED},
		{MPI_OFFSET, CLASS_SIGNED},
		{MPI_COUNT, CLASS_SIGNED},
		{MPI_WCHAR, (wchar_t)-1 < 0 ? CLASS_SIGNED : CLASS_UNSIGNED},
		{MPI_UNSIGNED_CHAR, CLASS_UNSIGNED},
		{MPI_UNSIGNED_SHORT, CLASS_UNSIGNED},
		{MPI_UNSIGNED, CLASS_UNSIGNED},
		{MPI_UNSIGNED_LONG, CLASS_UNSIGNED},
		{MPI_UNSIGNED_LONG_LONG, CLASS_UNSIGNED},
		{MPI_UINT8_T, CLASS_UNSIGNED},
		{MPI_UINT16_T, CLASS_UNSIGNED},
		{MPI_UINT32_T, CLASS_UNSIGNED},
		{MPI_UINT64_T, CLASS_UNSIGNED},
		{MPI_FLOAT, CLASS_REAL},
		{MPI_DOUBLE, CLASS_REAL},
		{MPI_LONG_DOUBLE, CLASS_LONG_DOUBLE},
		{MPI_C_FLOAT_COMPLEX, CLASS_COMPLEX},
		{MPI_C_DOUBLE_COMPLEX, CLASS_COMPLEX},
		{MPI_CXX_FLOAT_COMPLEX, CLASS_COMPLEX},
		{MPI_CXX_DOUBLE_COMPLEX, CLASS_COMPLEX},
		{MPI_C_BOOL, CLASS_BOOL},
		{MPI_CXX_BOOL, CLASS_BOOL},
		{MPI_INTEGER, CLASS_SIGNED},
		{MPI_INTEGER1, CLASS_SIGNED},
		{MPI_INTEGER2, CLASS_SIGNED},
		{MPI_INTEGER4, CLASS_SIGNED},
		{MPI_INTEGER8, CLASS_SIGNED},
		{MPI_REAL, CLASS_REAL},
		{MPI_REAL4, CLASS_REAL},
		{MPI_REAL8, CLASS_REAL},
		{MPI_DOUBLE_PRECISION, CLASS_REAL},
		{MPI_COMPLEX, CLASS_COMPLEX},
		{MPI_COMPLEX8, CLASS_COMPLEX},
		{MPI_COMPLEX16, CLASS_COMPLEX},
		{MPI_DOUBLE_COMPLEX, CLASS_COMPLEX},
		{MPI_LOGICAL, CLASS_LOGICAL},
#ifdef MPI_LOGICAL8
		{MPI_LOGICAL1, CLASS_LOGICAL},
		{MPI_LOGICAL2, CLASS_LOGICAL},
		{MPI_LOGICAL4, CLASS_LOGICAL},
		{MPI_LOGICAL8, CLASS_LOGICAL},
#endif
	};

	/* An MPI without Fortran has MPI_DATATYPE_NULL for some: it must not match. */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (type == names[i].type && type != MPI_DATATYPE_NULL) {
			*class = names[i].class;
			return true;
		}
	}
	return false;
}

static int predefined(MPI_Datatype type, bool known, enum class class, struct element *element,
		      struct error *err)
{
	char name[MPI_MAX_OBJECT_NAME] = "";
	int bytes, length;

	if (PMPI_Type_size(type, &bytes) != MPI_SUCCESS)
		return error_set(err, HF_EMPI, "MPI_Type_size failed");
	element->type = known ? element_of_class(class, bytes) : 0;
	element->bytes = (uint32_t)bytes;
	if (element->type && bytes > 0)
		return HF_OK;
	PMPI_Type_get_name(type, name, &length);
	return error_set(err, HF_EINVAL,
			 "elements of type %s cannot be stored; protect them as MPI_BYTE",
			 *name ? name : "(unnamed)");
}

/* Frees what MPI_Type_get_contents made: a derived type is a new handle, a predefined one is not. */
static void content_free(MPI_Datatype *type)
{
	int integers, addresses, types, combiner;

	if (PMPI_Type_get_envelope(*type, &integers, &addresses, &types, &combiner) != MPI_SUCCESS)
		return;
	switch (combiner) {
	case MPI_COMBINER_NAMED:
	case MPI_COMBINER_F90_REAL:
	case MPI_COMBINER_F90_COMPLEX:
	case MPI_COMBINER_F90_INTEGER:
		return;
	default:
		PMPI_Type_free(type);
	}
}

int element_of_type(MPI_Datatype type, struct element *element, struct error *err)
{
	int integers, addresses, types, combiner, count = 1, code;
	enum class class = CLASS_BYTE;
	bool known;
	struct element inner = {.count = 1};
	MPI_Datatype content;
	MPI_Aint unused;

	if (type == MPI_DATATYPE_NULL)
		return error_set(err, HF_EINVAL, "the datatype is MPI_DATATYPE_NULL");
	if (PMPI_Type_get_envelope(type, &integers, &addresses, &types, &combiner) != MPI_SUCCESS)
		return error_set(err, HF_EMPI, "MPI_Type_get_envelope failed");
	switch (combiner) {
	case MPI_COMBINER_NAMED:
		known = named_class(type, &class);
		code = predefined(type, known, class, &inner, err);
		break;
	case MPI_COMBINER_F90_REAL:
		code = predefined(type, true, CLASS_REAL, &inner, err);
		break;
	case MPI_COMBINER_F90_COMPLEX:
		code = predefined(type, true, CLASS_COMPLEX, &inner, err);
		break;
	case MPI_COMBINER_F90_INTEGER:
		code = predefined(type, true, CLASS_SIGNED, &inner, err);
		break;
	case MPI_COMBINER_DUP:
	case MPI_COMBINER_CONTIGUOUS:
		if (integers > 1 || addresses > 0 || types != 1 ||
		    PMPI_Type_get_contents(type, integers, 0, types, &count, &unused, &content) !=
			    MPI_SUCCESS)
			return error_set(err, HF_EMPI, "MPI_Type_get_contents failed");
		code = element_of_type(content, &inner, err);
		content_free(&content);
		if (!code && __builtin_mul_overflow(inner.count, (uint64_t)count, &inner.count))
			code = error_set(err, HF_EINVAL, "the datatype has too many elements");
		break;
	default:
		code = error_set(err, HF_EINVAL,
				 "the datatype is neither predefined nor a contiguous one of a predefined "
				 "type; protect its memory as elements of such a type, or as MPI_BYTE");
	}
	if (!code)
		*element = inner;
	return code;
}

MPI_Datatype element_datatype(uint32_t type, uint32_t bytes)
{
	switch (type) {
	case ELEMENT_BYTE:
		return MPI_BYTE;
	case ELEMENT_CHAR:
		return MPI_CHAR;
	case ELEMENT_INT8:
		return MPI_INT8_T;
	case ELEMENT_UINT8:
		return MPI_UINT8_T;
	case ELEMENT_INT16:
		return MPI_INT16_T;
	case ELEMENT_UINT16:
		return MPI_UINT16_T;
	case ELEMENT_INT32:
		return MPI_INT32_T;
	case ELEMENT_UINT32:
		return MPI_UINT32_T;
	case ELEMENT_INT64:
		return MPI_INT64_T;
	case ELEMENT_UINT64:
		return MPI_UINT64_T;
	case ELEMENT_FLOAT:
		return MPI_FLOAT;
	case ELEMENT_DOUBLE:
		return MPI_DOUBLE;
	case ELEMENT_LONG_DOUBLE:
		return bytes == sizeof(long double) ? MPI_LONG_DOUBLE : MPI_DATATYPE_NULL;
	case ELEMENT_COMPLEX_FLOAT:
		return MPI_C_FLOAT_COMPLEX;
	case ELEMENT_COMPLEX_DOUBLE:
		return MPI_C_DOUBLE_COMPLEX;
	case ELEMENT_BOOL:
		return bytes == sizeof(_Bool) ? MPI_C_BOOL : MPI_DATATYPE_NULL;
	case ELEMENT_LOGICAL:
#ifdef MPI_LOGICAL8
		if (bytes != 4)
			return bytes == 1   ? MPI_LOGICAL1
			       : bytes == 2 ? MPI_LOGICAL2
			       : bytes == 8 ? MPI_LOGICAL8
					    : MPI_DATATYPE_NULL;
#endif
		return MPI_LOGICAL;
	default:
		return MPI_DATATYPE_NULL;
	}
}

const char *element_name(uint32_t type)
{
	static const char *const names[ELEMENT_TYPE_END] = {
		[ELEMENT_BYTE] = "byte",
		[ELEMENT_CHAR] = "char",
		[ELEMENT_INT8] = "int8",
		[ELEMENT_UINT8] = "uint8",
		[ELEMENT_INT16] = "int16",
		[ELEMENT_UINT16] = "uint16",
		[ELEMENT_INT32] = "int32",
		[ELEMENT_UINT32] = "uint32",
		[ELEMENT_INT64] = "int64",
		[ELEMENT_UINT64] = "uint64",
		[ELEMENT_FLOAT] = "float",
		[ELEMENT_DOUBLE] = "double",
		[ELEMENT_LONG_DOUBLE] = "long double",
		[ELEMENT_COMPLEX_FLOAT] = "complex float",
		[ELEMENT_COMPLEX_DOUBLE] = "complex double",
		[ELEMENT_BOOL] = "bool",
		[ELEMENT_LOGICAL] = "logical",
	};

	return type < ELEMENT_TYPE_END && names[type] ? names[type] : "unknown";
}
