"""Sources of the public data sets: addresses, checksums, licences, citations.

`verified=False` marks a checksum that is quoted from elsewhere and has not been compared with a
file from the official address. `_download.check_file` describes how it is used.
"""

from dataclasses import dataclass

__all__ = ["GOWALLA", "LASTFM", "MOVIELENS", "ONLINE_RETAIL", "Source"]


@dataclass(frozen=True)
class Source:
    """The file of a public data set, with its description.

    Parameters
    ----------
    name : str
        Name of the data set.
    url : str
        Official address.
    filename : str
        Name of the file in the data home.
    about : str
        Description, licence and citation; becomes part of DESCR.
    known_hash : str or None
        "algorithm:digest", or None if no checksum is known.
    verified : bool
        Whether `known_hash` was compared with a file from `url`.
    """

    name: str
    url: str
    filename: str
    about: str
    known_hash: str | None = None
    verified: bool = False


_GROUPLENS = "https://files.grouplens.org/datasets"

_ABOUT_MOVIELENS = """\
Ratings of movies by users of movielens.org, collected by GroupLens, University of Minnesota. Every
user rated at least 20 movies, often many of them in one session, so the order within a session is
partly that of the site's pages. The weight is the rating, the time is in seconds since 1970.

Licence: GroupLens permits research use; no redistribution and no commercial use without permission
of a faculty member of the project; the README inside the file has the terms.

Citation: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and
Context. ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19.
https://doi.org/10.1145/2827872"""

# GroupLens publishes these MD5 sums beside the files; they are quoted here from another source.
_MOVIELENS_FILES = {
    "100k": ("100K", "ml-100k.zip", "md5:0e33842e24a9c977be4e0107933c0723"),
    "1m": ("1M", "ml-1m.zip", "md5:c4d9eecfca2ab87c1945afe126590906"),
    "10m": ("10M", "ml-10m.zip", "md5:ce571fd55effeba0271552578f2648bd"),
    "20m": ("20M", "ml-20m.zip", "md5:cd245b17a1ae2cc31bb14903e1204af3"),
    "25m": ("25M", "ml-25m.zip", "md5:6b51fb2759a8657d3bfcbfc42b592ada"),
    # GroupLens changes this file from time to time, so it has no fixed checksum.
    "latest-small": ("latest (small)", "ml-latest-small.zip", None),
}

MOVIELENS = {
    version: Source(
        name=f"MovieLens {label}",
        url=f"{_GROUPLENS}/movielens/{filename}",
        filename=filename,
        about=_ABOUT_MOVIELENS,
        known_hash=known_hash,
    )
    for version, (label, filename, known_hash) in _MOVIELENS_FILES.items()
}

LASTFM = Source(
    name="Last.fm (HetRec 2011)",
    url=f"{_GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",
    filename="hetrec2011-lastfm-2k.zip",
    about="""\
Artists that users of the music service Last.fm listened to: the most played artists of each user.
The weight is the number of plays. There are no times of listening.

Licence: non-commercial use; the readme inside the file has the terms, those of last.fm included.

Citation: Iván Cantador, Peter Brusilovsky and Tsvi Kuflik. 2011. Second Workshop on Information
Heterogeneity and Fusion in Recommender Systems (HetRec 2011). In Proceedings of the 5th ACM
Conference on Recommender Systems. https://doi.org/10.1145/2043932.2044016""",
    known_hash="md5:296d61afe4e8632b173fc2dd3be20ce2",  # quoted from the DataRec library
)

GOWALLA = Source(
    name="Gowalla",
    url="https://snap.stanford.edu/data/loc-gowalla_totalCheckins.txt.gz",
    filename="loc-gowalla_totalCheckins.txt.gz",
    about="""\
Places where users of the social network Gowalla checked in, from February 2009 to October 2010. The
weight is the number of check-ins of the user at the place, the time is that of the first one, in
seconds since 1970. Places have no names. In a k-core, each user has at least k places and each
place at least k users.

Licence: none is stated; Stanford's SNAP collection offers the file for download and asks to be
cited.

Citation: Eunjoon Cho, Seth A. Myers and Jure Leskovec. 2011. Friendship and Mobility: User Movement
in Location-Based Social Networks. In Proceedings of the 17th ACM SIGKDD International Conference on
Knowledge Discovery and Data Mining. https://doi.org/10.1145/2020408.2020579
File: https://snap.stanford.edu/data/loc-gowalla.html""",
    known_hash="md5:8ebd5ed2dd376d8982987c49429cb9f9",  # quoted from the DataRec library
)

ONLINE_RETAIL = Source(
    name="Online Retail",
    url="https://archive.ics.uci.edu/static/public/352/online+retail.zip",
    filename="online_retail.zip",
    about="""\
Orders at a British online shop for gifts, from December 2010 to December 2011; many customers are
wholesalers. The weight is the number of the customer's orders that contain the product, the time is
that of the first one, in seconds since 1970 by the shop's local clock. Cancellations, returns, rows
without a customer, and codes that are not products (postage, fees, manual entries) are left out.

Licence: Creative Commons Attribution 4.0 International (CC BY 4.0).

Citation: Daqing Chen. 2015. Online Retail. UCI Machine Learning Repository.
https://doi.org/10.24432/C5BW33. Introduced in Daqing Chen, Sai Laing Sain and Kun Guo. 2012. Data
mining for the online retail industry. Journal of Database Marketing & Customer Strategy Management
19, 197-208. https://doi.org/10.1057/dbm.2012.17""",
)
